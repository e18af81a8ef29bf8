//! URLs as they may be shown and written down.

/// A URL without the name, the password and the query that may hold a secret.
pub fn without_user(url: &str) -> String {
    let url = url.trim();
    let shown = match url.split_once("://") {
        Some((scheme, rest)) => {
            format!("{}://{}", scheme.to_ascii_lowercase(), host_and_path(rest))
        }
        None => scp_without_user(url).to_owned(),
    };
    shown.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn host_and_path(rest: &str) -> String {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let path = rest.strip_prefix(authority).unwrap_or_default();
    // A password may hold a slash that should have been escaped: then the part
    // before it looks like a host whose port is no number.
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit() || byte == b']');
    let odd = authority.rsplit_once(':').is_some_and(|(_, port)| !is_number(port));
    if odd && !authority.contains('@') {
        return after_at(rest).to_owned();
    }
    format!("{}{path}", after_at(authority).to_lowercase())
}

fn scp_without_user(url: &str) -> &str {
    let colon = url.find(':').unwrap_or(url.len());
    let is_path = url.find('/').is_some_and(|slash| slash < colon) || colon == url.len();
    if is_path { url } else { after_at(url) }
}

fn after_at(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_of_a_url_is_shown() {
        for (url, shown) in [
            ("https://dan:hunter2@example.com/app.git", "https://example.com/app.git"),
            ("https://dan:hun@ter2@example.com/app", "https://example.com/app"),
            ("https://dan:hunter2/x@example.com/app", "https://example.com/app"),
            ("https://dan:hunter2?x#y@example.com/app", "https://example.com/app"),
            ("https://hunter2@example.com", "https://example.com"),
            ("HTTPS://hunter2@Example.com/a/b/c", "https://example.com/a/b/c"),
            ("https://example.com/a/b/c?private_token=hunter2", "https://example.com/a/b/c"),
            ("https://example.com:8443/a/b/c", "https://example.com:8443/a/b/c"),
            ("codecommit://hunter2@app", "codecommit://app"),
            ("git@example.com:group/sub/app", "example.com:group/sub/app"),
            ("dan:hunter2@example.com:acme/app", "example.com:acme/app"),
            ("/srv/git/a@b:c.git", "/srv/git/a@b:c.git"),
            ("../app", "../app"),
        ] {
            assert_eq!(without_user(url), shown, "{url}");
        }
    }
}
