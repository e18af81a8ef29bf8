//! Decides which URLs the coordinator may push to.
//!
//! A Worker cannot pin the address it connects to, so names that can only mean an inner
//! network are refused here, by their text. A name that *resolves* to an inner address is
//! not noticed: a self-hosted coordinator needs an egress filter.

use std::net::Ipv4Addr;

/// Names that only mean something inside a network.
const INNER_SUFFIXES: [&str; 5] = ["localhost", "local", "internal", "home.arpa", "localdomain"];

/// The coordinator's own address, and its settings.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The coordinator's own `host` or `host:port`.
    pub own_host: &'a str,
    /// `ALLOW_INSECURE=true`: `http` and loopback are open, too.
    pub allow_insecure: bool,
}

/// Why an endpoint was refused; the text describes a valid one.
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
    /// Characters that parsers drop, escape or read in different ways.
    #[error("must hold no spaces, control characters or backslashes")]
    Character,
    /// `https://host:0/`
    #[error("must not use port 0: nothing can listen there")]
    Port,
    /// `https://a..b/`, `https://-a.b/`, a label of 64 characters, …
    #[error(
        "must name a host that can exist: at most 253 characters, in parts of 1 to 63 letters, \
         digits, hyphens and underscores, which neither begin nor end with a hyphen"
    )]
    Label,
    /// Too long once everything is escaped.
    #[error("is longer than 2048 bytes once it is escaped")]
    Length,
    /// The coordinator would push to itself.
    #[error("must not be the coordinator itself")]
    OwnHost,
}

/// A URL as the URL standard (WHATWG) parses it. The runtime has that parser;
/// a second one would be a tenth of the WebAssembly.
#[derive(Debug, Clone, Copy)]
pub struct ParsedUrl<'a> {
    /// Without the colon.
    pub scheme: &'a str,
    /// In its canonical form: lower case, IPv4 as four numbers, IPv6 in brackets, other
    /// scripts as punycode.
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

    /// The same port on this machine is the same server under every name.
    fn has_port_of(&self, authority: &str) -> bool {
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        self.port == port
    }
}

/// Checks the text before it is parsed. The parser of the standard is lenient: it
/// trims and drops characters, and accepts `https:/host` and `https://@host`.
pub fn check_text(text: &str) -> Result<(), EndpointError> {
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || letter == '\\';
    if text.contains(odd) {
        return Err(EndpointError::Character);
    }
    let (_, rest) = text.split_once("://").ok_or(EndpointError::Scheme)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority {
        "" => Err(EndpointError::Scheme),
        _ if authority.contains('@') => Err(EndpointError::UserInfo),
        _ => Ok(()),
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
    if url.port == "0" {
        return Err(EndpointError::Port);
    }
    if !url.is_ip() {
        check_labels(url.host)?;
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

/// Can such a name exist? RFC 1123 forbids underscores, but such names resolve.
fn check_labels(name: &str) -> Result<(), EndpointError> {
    if name.ends_with('.') {
        return Err(EndpointError::TrailingDot);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let all_fit = name.len() <= 253 && name.split('.').all(fits);
    if all_fit { Ok(()) } else { Err(EndpointError::Label) }
}

fn check_name(name: &str) -> Result<(), EndpointError> {
    let inner = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !name.contains('.') || INNER_SUFFIXES.iter().any(|suffix| inner(suffix)) {
        return Err(EndpointError::InnerName);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
