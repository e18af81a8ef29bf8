//! Cross-origin requests: off unless `ALLOWED_ORIGINS` names the origin, and
//! the headers that keep browsers from doing what nobody asked for.

use worker::Headers;

/// What a page may send beside a plain request.
const REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, agent-id, if-match, prefer";
/// What a page may read of an answer.
const ANSWER_HEADERS: &str = "etag, link, retry-after, x-request-id";
/// Seconds that a browser may remember what is allowed.
const MAX_AGE: &str = "86400";
/// An answer of the API is data: nothing in it is to be run or framed.
const DATA_ONLY: &str = "default-src 'none'; frame-ancestors 'none'";
/// A browser that was here over https never tries http.
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

/// Sets the headers of data: nobody keeps, runs or frames it.
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

/// Sets the headers for pages of other origins, where some may call.
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
    fn origins_are_read_and_what_is_none_is_refused() {
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
