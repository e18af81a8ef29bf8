//! Which URLs the coordinator pushes to (design: *Push*, Endpoints).
//!
//! A Worker cannot pin the address it connects to, so names that can only
//! mean an inner network are refused here, by their text. A name that
//! *resolves* to one is not seen: a self-hosted coordinator needs an egress
//! filter.

use std::net::Ipv4Addr;

/// Names that only mean something inside a network.
const INNER_SUFFIXES: [&str; 5] = ["localhost", "local", "internal", "home.arpa", "localdomain"];

/// Where the coordinator is reached, and what it may do.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The coordinator's own `host` or `host:port`.
    pub own_host: &'a str,
    /// `ALLOW_INSECURE=true`: `http` and loopback are open, too.
    pub allow_insecure: bool,
}

/// Why an endpoint was refused; the text says what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// `http`, `ftp`, …
    #[error("must be an absolute https URL, https://host/path")]
    Scheme,
    /// `https://user:secret@host`
    #[error("must not hold a user or a password")]
    UserInfo,
    /// `https://10.0.0.1`, in any notation.
    #[error("must name a host, not an IP address")]
    IpLiteral,
    /// A single label, `localhost`, `.internal`, …
    #[error("must name a public host, not one of a local network")]
    InnerName,
    /// A trailing dot.
    #[error("must not end its host with a dot")]
    TrailingDot,
    /// A loop.
    #[error("must not be the coordinator itself")]
    OwnHost,
}

/// A URL as the URL standard (WHATWG) parses it. The runtime has that parser;
/// a second one would be a tenth of the WebAssembly.
#[derive(Debug, Clone, Copy)]
pub struct ParsedUrl<'a> {
    /// Without the colon.
    pub scheme: &'a str,
    /// In its canonical form: lower case, IPv4 as four numbers whatever its
    /// notation was, IPv6 in brackets, other scripts as punycode.
    pub host: &'a str,
    /// Empty, or the port where it is not the scheme's own.
    pub port: &'a str,
    /// A user or a password is there.
    pub has_user_info: bool,
}

impl ParsedUrl<'_> {
    fn ipv4(&self) -> Option<Ipv4Addr> {
        self.host.parse().ok()
    }

    fn is_ip(&self) -> bool {
        self.host.starts_with('[') || self.ipv4().is_some()
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host == "[::1]"
            || self.ipv4().is_some_and(|ip| ip.is_loopback())
    }

    /// The same port on this machine is the same server, whatever its name.
    fn has_port_of(&self, authority: &str) -> bool {
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        self.port == port
    }
}

/// Checks a URL against the rules.
pub fn check(url: ParsedUrl<'_>, rules: Rules<'_>) -> Result<(), EndpointError> {
    let served = match url.scheme {
        "https" => true,
        "http" => rules.allow_insecure,
        _ => false,
    };
    if !served || url.host.is_empty() {
        return Err(EndpointError::Scheme);
    }
    if url.has_user_info {
        return Err(EndpointError::UserInfo);
    }
    if rules.allow_insecure && url.is_loopback() {
        return if url.has_port_of(rules.own_host) { Err(EndpointError::OwnHost) } else { Ok(()) };
    }
    if url.is_ip() {
        return Err(EndpointError::IpLiteral);
    }
    check_name(url.host)?;
    let own = rules.own_host.rsplit_once(':').map_or(rules.own_host, |(host, _)| host);
    if url.host.eq_ignore_ascii_case(own) {
        return Err(EndpointError::OwnHost);
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), EndpointError> {
    if name.ends_with('.') {
        return Err(EndpointError::TrailingDot);
    }
    let inner = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !name.contains('.') || INNER_SUFFIXES.iter().any(|suffix| inner(suffix)) {
        return Err(EndpointError::InnerName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::{Host, Url};

    /// With the same parser as the runtime's, in its Rust form. What it does
    /// not parse is refused before the rules.
    fn checked(text: &str, rules: Rules<'_>) -> Result<String, Option<EndpointError>> {
        let url = Url::parse(text).map_err(|_| None)?;
        let port = url.port().map_or(String::new(), |port| port.to_string());
        let parsed = ParsedUrl {
            scheme: url.scheme(),
            host: url.host_str().unwrap_or_default(),
            port: &port,
            has_user_info: !url.username().is_empty() || url.password().is_some(),
        };
        check(parsed, rules).map_err(Some)?;
        Ok(url.into())
    }

    fn strict(text: &str) -> Result<String, Option<EndpointError>> {
        checked(text, Rules { own_host: "api.multiclaude.dev", allow_insecure: false })
    }

    fn insecure(text: &str) -> Result<String, Option<EndpointError>> {
        checked(text, Rules { own_host: "127.0.0.1:8787", allow_insecure: true })
    }

    #[test]
    fn https_with_a_public_name_is_accepted() {
        assert_eq!(
            strict("https://Hooks.Example.com/a?b=1").unwrap(),
            "https://hooks.example.com/a?b=1"
        );
        assert!(strict("https://example.com:8443/").is_ok());
        assert!(strict("https://internal.example.com/").is_ok());
        assert!(strict("https://mylocal.dev/").is_ok());
    }

    #[test]
    fn an_ip_address_in_any_notation_is_refused() {
        for bad in [
            "https://10.0.0.1/",
            "https://8.8.8.8/",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://１２７.０.０.１/",
            "https://10.0.0.1./",
        ] {
            assert!(
                matches!(strict(bad), Err(Some(EndpointError::IpLiteral) | None)),
                "{bad} {:?}",
                strict(bad)
            );
        }
    }

    #[test]
    fn a_name_of_a_local_network_is_refused() {
        for bad in [
            "localhost",
            "a.localhost",
            "box",
            "printer.local",
            "x.internal",
            "nas.home.arpa",
            "home.arpa",
        ] {
            assert_eq!(
                strict(&format!("https://{bad}/")),
                Err(Some(EndpointError::InnerName)),
                "{bad}"
            );
        }
        for bad in ["localhost.", "example.com.", "x.internal."] {
            assert_eq!(
                strict(&format!("https://{bad}/")),
                Err(Some(EndpointError::TrailingDot)),
                "{bad}"
            );
        }
    }

    #[test]
    fn plain_http_user_info_and_the_coordinator_itself_are_refused() {
        assert_eq!(strict("http://example.com/"), Err(Some(EndpointError::Scheme)));
        assert_eq!(strict("ftp://example.com/"), Err(Some(EndpointError::Scheme)));
        assert_eq!(strict("https://u:p@example.com/"), Err(Some(EndpointError::UserInfo)));
        assert_eq!(strict("https://u@example.com/"), Err(Some(EndpointError::UserInfo)));
        assert_eq!(strict("https://API.multiclaude.dev/v1"), Err(Some(EndpointError::OwnHost)));
        assert_eq!(strict("https://api.multiclaude.dev:444/"), Err(Some(EndpointError::OwnHost)));
        assert_eq!(strict("/hook"), Err(None));
    }

    #[test]
    fn allow_insecure_opens_http_and_loopback_but_nothing_else() {
        assert!(insecure("http://127.0.0.1:9000/hook").is_ok());
        assert!(insecure("http://localhost:9000/").is_ok());
        assert!(insecure("http://[::1]:9000/").is_ok());
        assert!(insecure("http://example.com/").is_ok());
        assert_eq!(insecure("http://10.0.0.1/"), Err(Some(EndpointError::IpLiteral)));
        assert_eq!(insecure("http://box/"), Err(Some(EndpointError::InnerName)));
        for own in ["127.0.0.1", "localhost", "127.0.0.2", "[::1]", "a.localhost"] {
            let url = format!("http://{own}:8787/");
            assert_eq!(insecure(&url), Err(Some(EndpointError::OwnHost)), "{own}");
        }
    }

    proptest! {
        #[test]
        fn no_ipv4_address_gets_through_whatever_its_notation(ip: u32) {
            let [a, b, c, d] = ip.to_be_bytes();
            for text in [format!("{a}.{b}.{c}.{d}"), format!("{ip}"), format!("0x{ip:x}"), format!("0{a:o}.{b}.{c}.{d}")] {
                prop_assert!(strict(&format!("https://{text}/")).is_err(), "{}", text);
            }
        }

        #[test]
        fn what_is_accepted_is_https_to_a_dotted_name(text in "(https?://)?[a-z0-9.@:\\[\\]%/-]{0,40}") {
            if let Ok(url) = strict(&text) {
                let url = Url::parse(&url).unwrap();
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(matches!(url.host(), Some(Host::Domain(name)) if name.contains('.')));
            }
        }
    }
}
