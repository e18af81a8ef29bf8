//! Why a connection failed, as far as its errors show.

use std::error::Error;
use std::io::{self, ErrorKind};

/// Why a coordinator cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Its host name cannot be resolved.
    Name,
    /// Nothing listens at its port.
    Refused,
    /// No answer came in time.
    Timeout,
    /// Something listens there, but no TLS connection can be made with it: its
    /// certificate is not valid here, or it does not speak TLS.
    Tls,
    /// Any other reason.
    Other,
}

impl Cause {
    /// The cause of a failed request.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let https = error.url().is_some_and(|url| url.scheme() == "https");
        let mut next = error.source();
        while let Some(cause) = next {
            // The type of hyper's error is private; this is its whole text.
            if cause.to_string() == "dns error" {
                return Self::Name;
            }
            if let Some(cause) = cause.downcast_ref() {
                return Self::of_io(innermost_kind(cause), https && error.is_connect());
            }
            next = cause.source();
        }
        Self::Other
    }

    /// `handshake`: a TLS connection was being made.
    fn of_io(kind: ErrorKind, handshake: bool) -> Self {
        match kind {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut => Self::Timeout,
            // rustls' own errors are `InvalidData`. The others cannot come before
            // the TCP connection is made.
            ErrorKind::InvalidData
            | ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
                if handshake =>
            {
                Self::Tls
            }
            _ => Self::Other,
        }
    }
}

/// The kind of the innermost error: hyper wraps an `io::Error` in another one, whose
/// `source()` skips the inner one.
fn innermost_kind(error: &io::Error) -> ErrorKind {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(inner) => innermost_kind(inner),
        None => error.kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Error, Retries};
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    /// How a call of the coordinator at `base` fails.
    async fn cause(base: &str) -> Cause {
        cause_within(Duration::from_secs(30), base).await
    }

    async fn cause_within(timeout: Duration, base: &str) -> Cause {
        let base = crate::BaseUrl::parse(base, true).unwrap();
        let once = Retries { attempts: 1, ..Retries::default() };
        let client = Client::at(base, "t").unwrap().retries(once);
        match client.timeout(timeout).whoami().await {
            Err(Error::Unreachable { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    }

    /// A port of this machine that sends `answer` to each connection, or nothing.
    async fn port(answer: Option<&'static [u8]>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                match answer {
                    Some(answer) => drop(socket.write_all(answer).await),
                    None => silent.push(socket),
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn a_port_without_tls_is_distinguished_from_one_where_nothing_listens() {
        for answer in
            [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", b"\x15\x03\x03\x00\x02\x02\x28"]
        {
            let port = port(Some(answer)).await;
            assert_eq!(cause(&format!("https://127.0.0.1:{port}")).await, Cause::Tls, "{answer:?}");
        }
        let port = port(Some(b"")).await;
        assert_eq!(cause(&format!("http://127.0.0.1:{port}")).await, Cause::Other);
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens_refuses_and_an_unknown_name_is_one() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        for scheme in ["http", "https"] {
            let cause = cause(&format!("{scheme}://127.0.0.1:{free}")).await;
            assert_eq!(cause, Cause::Refused, "{scheme}");
        }
        assert_eq!(cause("https://coordinator.invalid").await, Cause::Name);
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let port = port(None).await;
        for scheme in ["http", "https"] {
            let base = format!("{scheme}://127.0.0.1:{port}");
            let cause = cause_within(Duration::from_secs(1), &base).await;
            assert_eq!(cause, Cause::Timeout, "{scheme}");
        }
    }
}
