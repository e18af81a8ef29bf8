//! The URL of a coordinator.

use std::fmt;
use url::{Host, ParseError, Url};

/// The environment variable with the coordinator's URL.
pub const URL_VARIABLE: &str = "MULTICLAUDE_API_URL";
/// The coordinator that is used if no other is configured.
pub const DEFAULT_URL: &str = "https://api.multiclaude.dev/v1";

const NO_SCHEME: &str = "it does not begin with https://";

/// The base of a coordinator's API: `https`, with a path (`/v1` by default).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    text: String,
    loopback: bool,
}

/// Why a text is not a [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It cannot be the URL of a coordinator.
    #[error("{url:?} is not a coordinator's URL: {reason}; one looks like https://HOST/v1")]
    Malformed {
        /// The given text, without user and password.
        url: String,
        /// The fault.
        reason: String,
        /// A valid URL of the same host, which may have been meant.
        suggestion: Option<String>,
    },
    /// It is plain `http` to another machine.
    #[error(
        "{url} is plain http, which would show the token to every network on the way; use https, \
         or ask for plain http explicitly where that network is yours"
    )]
    Plain {
        /// The given URL.
        url: String,
    },
}

impl BaseUrl {
    /// Reads a URL. A path is kept, and an empty one means `/v1`. Plain `http` is
    /// allowed for loopback, and elsewhere with `allow_http`.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, BaseUrlError> {
        Self::read(text, allow_http).map_err(|error| match error {
            BaseUrlError::Malformed { url, reason, .. } => {
                BaseUrlError::Malformed { url, reason, suggestion: suggestion(text) }
            }
            plain @ BaseUrlError::Plain { .. } => plain,
        })
    }

    /// As [`BaseUrl::parse`], without a suggestion.
    fn read(text: &str, allow_http: bool) -> Result<Self, BaseUrlError> {
        let malformed = |url: &str, reason: &str| BaseUrlError::Malformed {
            url: url.to_owned(),
            reason: reason.to_owned(),
            suggestion: None,
        };
        // An unreadable text with an @ may hold a password: do not repeat it.
        let hidden = if text.contains('@') { "…" } else { text };
        let url = Url::parse(text.trim()).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => malformed(hidden, NO_SCHEME),
            error => malformed(hidden, &error.to_string()),
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed(hidden, NO_SCHEME));
        }
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
        if url.scheme() == "http" && !loopback && !allow_http {
            return Err(BaseUrlError::Plain { url: url.to_string() });
        }
        let text = match url.path().trim_end_matches('/') {
            "" => format!("{}v1", url.as_str().trim_end_matches('/').to_owned() + "/"),
            _ => url.as_str().trim_end_matches('/').to_owned(),
        };
        Ok(Self { text, loopback })
    }

    /// Do two URLs lead to the same coordinator? All names of this machine count as one.
    /// Texts that are not URLs are compared as they are.
    pub fn is_same(one: &str, other: &str) -> bool {
        match (normalised(one), normalised(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        }
    }

    /// Do two URLs name the same host? Ports and paths may differ.
    pub fn is_same_host(one: &str, other: &str) -> bool {
        let host = |text| normalised(text)?.host_str().map(str::to_owned);
        host(one).is_some_and(|one| host(other) == Some(one))
    }

    /// The URL without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Is the coordinator on this machine?
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// A coordinator's URL with one name for this machine, for comparison.
fn normalised(text: &str) -> Option<Url> {
    let mut url = Url::parse(BaseUrl::read(text, true).ok()?.as_str()).ok()?;
    if matches!(url.host_str(), Some("127.0.0.1" | "[::1]")) {
        url.set_host(Some("localhost")).ok()?;
    }
    Some(url)
}

/// A valid URL that an invalid text may have meant. Only the scheme and the parts after
/// the path are changed: a user who follows the suggestion sends a token to its host.
fn suggestion(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split(['?', '#']).next()?;
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    let authority = rest.split('/').next()?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let made = |scheme: &str| BaseUrl::read(&format!("{scheme}://{rest}"), false).ok();
    let base = match scheme.as_deref() {
        Some(scheme @ ("http" | "https")) => made(scheme)?,
        Some(_) => return None,
        // Plain http is allowed for this machine only, where it is usual.
        None => made("http").or_else(|| made("https"))?,
    };
    let url = Url::parse(base.as_str()).ok()?;
    (url.host_str()? == host.to_ascii_lowercase()).then(|| base.to_string())
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn a_text_that_cannot_be_the_url_of_an_api_is_refused() {
        for url in
            ["", "example.com", "ftp://example.com", "https://x/?a=b", "https://x/#a", "file:///x"]
        {
            assert!(BaseUrl::parse(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn a_suggestion_never_names_another_host() {
        for (given, meant) in [
            ("localhost:8801", Some("http://localhost:8801/v1")),
            ("127.0.0.1:8787", Some("http://127.0.0.1:8787/v1")),
            ("[::1]:8787/v1", Some("http://[::1]:8787/v1")),
            ("coordinator.example.com", Some("https://coordinator.example.com/v1")),
            ("Example.com:8443/team/v1/", Some("https://example.com:8443/team/v1")),
            ("https://example.com/v1?x=1", Some("https://example.com/v1")),
            ("example.com/v1#top", Some("https://example.com/v1")),
            ("http://localhost:8787/?x", Some("http://localhost:8787/v1")),
            // A host that is read as another one, a user, another protocol, nothing.
            ("127.1:8787", None),
            ("0x7f.0.0.1", None),
            ("2130706433", None),
            ("dan@example.com", None),
            ("https://dan:hunter2@example.com/?x", None),
            ("example.com\\@evil.com", None),
            ("exa mple.com", None),
            ("example%2ecom", None),
            ("ｅxample.com", None),
            ("ftp://example.com", None),
            ("http://example.com?x=1", None),
            ("", None),
            (":8787", None),
            ("/v1", None),
        ] {
            let Err(BaseUrlError::Malformed { suggestion, .. }) = BaseUrl::parse(given, false)
            else {
                panic!("{given}");
            };
            assert_eq!(suggestion.as_deref(), meant, "{given}");
        }
    }

    proptest! {
        #[test]
        fn a_suggested_host_is_the_one_that_was_typed(
            text in r"(https?://|ftp://)?[a-zA-Z0-9.@:\[\]%\\ _-]{0,16}[/?#]?[a-z0-9/?#=@.:]{0,8}",
        ) {
            if let Err(BaseUrlError::Malformed { suggestion: Some(suggestion), .. }) =
                BaseUrl::parse(&text, false)
            {
                let host = Url::parse(&suggestion).unwrap().host_str().unwrap().to_owned();
                let typed = text.trim().to_ascii_lowercase();
                let rest = typed.split_once("://").map_or(&*typed, |(_, rest)| rest);
                let after = rest.strip_prefix(&host).map(|after| after.chars().next());
                prop_assert!(
                    matches!(after, Some(None | Some(':' | '/' | '?' | '#'))),
                    "{text:?} {suggestion}"
                );
                prop_assert!(BaseUrl::parse(&suggestion, false).is_ok());
            }
        }
    }

    #[test]
    fn the_names_of_this_machine_are_one_coordinator() {
        let names = ["http://localhost:8787/v1", "http://127.0.0.1:8787", "http://[::1]:8787/v1/"];
        for (one, other) in names.iter().flat_map(|one| names.iter().map(move |two| (one, two))) {
            assert!(BaseUrl::is_same(one, other), "{one} {other}");
        }
        assert!(BaseUrl::is_same("https://a.example.com", "https://a.example.com:443/v1/"));
        for other in [
            "http://localhost:8788/v1",
            "http://localhost:8787/team/v1",
            "https://localhost:8787/v1",
            "http://127.0.0.2:8787/v1",
            "http://example.com:8787/v1",
            "nonsense",
        ] {
            assert!(!BaseUrl::is_same(names[0], other), "{other}");
        }
        assert!(BaseUrl::is_same_host(names[0], "http://127.0.0.1:1/other"));
        assert!(!BaseUrl::is_same_host(names[0], "http://example.com:8787/v1"));
    }
}
