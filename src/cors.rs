//! Cross-origin requests, which are refused unless `ALLOWED_ORIGINS` names the origin,
//! and the security headers of every answer.

use worker::Headers;

/// Headers that a page may send.
const REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, agent-id, if-match, prefer";
/// Headers that a page may read.
const ANSWER_HEADERS: &str = "etag, link, retry-after, x-request-id";
/// Seconds that a browser may remember a preflight.
const MAX_AGE: &str = "86400";
/// An answer of the API is data: a browser must not run or frame it.
const DATA_ONLY: &str = "default-src 'none'; frame-ancestors 'none'";
/// A browser that has used https never tries http.
const HTTPS_ONLY: &str = "max-age=31536000";

/// Reads `ALLOWED_ORIGINS`: origins, separated by commas, or `*`.
pub fn parse(list: &str) -> Result<Vec<String>, String> {
    let origins = list.split(',').map(str::trim).filter(|text| !text.is_empty());
    origins
        .map(|origin| {
            let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
            let is_origin =
                host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']));
            if is_origin || origin == "*" {
                // As browsers write it.
                Ok(origin.to_ascii_lowercase())
            } else {
                Err(format!(
                    "The variable ALLOWED_ORIGINS has \"{origin}\"; an origin is https://host or \
                     https://host:port, without a path; several are separated by commas."
                ))
            }
        })
        .collect()
}

/// Sets the headers of data, which a browser must not keep, run or frame.
pub fn data_only(headers: &Headers) -> worker::Result<()> {
    headers.set("cache-control", "no-store")?;
    headers.set("content-security-policy", DATA_ONLY)
}

/// Sets the headers of every answer.
pub fn secure(headers: &Headers, url: &str) -> worker::Result<()> {
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("referrer-policy", "no-referrer")?;
    if url.starts_with("https://") {
        headers.set("strict-transport-security", HTTPS_ONLY)?;
    }
    Ok(())
}

/// Sets the headers for pages of other origins.
pub fn cross(
    headers: &Headers,
    origin: Option<&str>,
    allowed_origins: &[String],
    preflight: bool,
) -> worker::Result<()> {
    headers.append("vary", "origin")?;
    let allowed = |origin: &&str| {
        let mut known = allowed_origins.iter();
        known.any(|known| known == origin || known == "*")
    };
    let Some(origin) = origin.filter(allowed) else {
        return Ok(());
    };
    headers.set("access-control-allow-origin", origin)?;
    headers.set("access-control-expose-headers", ANSWER_HEADERS)?;
    if let Some(methods) = headers.get("allow")?.filter(|_| preflight) {
        headers.set("access-control-allow-methods", &methods)?;
        headers.set("access-control-allow-headers", REQUEST_HEADERS)?;
        headers.set("access-control-max-age", MAX_AGE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_anything_else_is_refused() {
        let two = parse("https://a.example, http://localhost:3000,").unwrap();
        assert_eq!(two, ["https://a.example", "http://localhost:3000"]);
        assert_eq!(parse("").unwrap(), Vec::<String>::new());
        for bad in [
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://a.example?x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
