//! Where a coordinator is.

use std::fmt;
use url::{Host, Url};

/// The environment's variable with the coordinator's URL.
pub const URL_VARIABLE: &str = "MULTICLAUDE_API_URL";
/// The coordinator that is asked when nobody says otherwise.
pub const DEFAULT_URL: &str = "https://api.multiclaude.dev/v1";

/// The base of a coordinator's API: `https`, with a path (`/v1` unless said).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    text: String,
    loopback: bool,
}

/// Why a text is no [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It is not a URL that a coordinator can be at.
    #[error("{url:?} is not a coordinator's URL: {reason}; it looks like {DEFAULT_URL}")]
    Malformed {
        /// What was given, without user and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is plain `http` to another machine.
    #[error(
        "{url} is plain http, which would show the token to every network on the way; use https, \
         or ask for plain http explicitly where that network is yours"
    )]
    Plain {
        /// What was given.
        url: String,
    },
}

impl BaseUrl {
    /// Reads a URL: a path in it is kept, an empty one means `/v1`. Plain `http`
    /// is for loopback, unless `allow_http`.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, BaseUrlError> {
        let malformed = |url: &str, reason: &str| BaseUrlError::Malformed {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        // What cannot be read may hold a password: it is not repeated then.
        let hidden = if text.contains('@') { "…" } else { text };
        let url = Url::parse(text.trim()).map_err(|error| malformed(hidden, &error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("…", "it has a user or a password in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(malformed(hidden, "it has a query or a fragment"));
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(malformed(hidden, "it has no host")),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback || allow_http => {}
            "http" => {
                let url = url.to_string();
                return Err(BaseUrlError::Plain { url });
            }
            _ => return Err(malformed(hidden, "it is not https")),
        }
        let text = match url.path().trim_end_matches('/') {
            "" => format!("{}v1", url.as_str().trim_end_matches('/').to_owned() + "/"),
            _ => url.as_str().trim_end_matches('/').to_owned(),
        };
        Ok(Self { text, loopback })
    }

    /// [`URL_VARIABLE`] of the environment, or [`DEFAULT_URL`].
    pub fn from_environment() -> Result<Self, BaseUrlError> {
        match std::env::var(URL_VARIABLE) {
            Ok(text) if !text.is_empty() => Self::parse(&text, false),
            _ => Self::parse(DEFAULT_URL, false),
        }
    }

    /// Its text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Is it on this machine?
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        BaseUrl::parse(text, false).unwrap().to_string()
    }

    #[test]
    fn a_path_is_kept_and_an_empty_one_means_v1() {
        for (given, meant) in [
            ("https://api.example.com", "https://api.example.com/v1"),
            ("https://api.example.com/", "https://api.example.com/v1"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("https://api.example.com/team/v1", "https://api.example.com/team/v1"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787/v1"),
            ("http://[::1]:8787", "http://[::1]:8787/v1"),
            ("http://localhost:8787/v1", "http://localhost:8787/v1"),
        ] {
            assert_eq!(read(given), meant);
        }
    }

    #[test]
    fn plain_http_is_for_loopback_unless_asked_for() {
        for url in ["http://example.com", "http://10.0.0.1", "http://localhost.example.com"] {
            let refused = BaseUrl::parse(url, false);
            assert!(matches!(refused, Err(BaseUrlError::Plain { .. })), "{url}");
            assert!(BaseUrl::parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for url in ["https://dan:hunter2@example.com", "https://dan:hunter2@", "dan:hunter2@x"] {
            let text = BaseUrl::parse(url, false).unwrap_err().to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_an_api_is_refused() {
        for url in
            ["", "example.com", "ftp://example.com", "https://x/?a=b", "https://x/#a", "file:///x"]
        {
            assert!(BaseUrl::parse(url, true).is_err(), "{url}");
        }
    }
}
