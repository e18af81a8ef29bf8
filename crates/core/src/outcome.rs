//! How a push ended.

use multiclaude_hybrid_protocol::message::Report;
use serde_with::{DeserializeFromStr, SerializeDisplay};
use std::fmt;
use std::str::FromStr;

/// The class of a failed push, as receipts and logs show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub enum ErrorClass {
    /// `timeout`
    Timeout,
    /// `connection_failed`
    Connection,
    /// `secret_unreadable`: the key that sealed it was removed.
    Secret,
    /// `http_<status>`
    Status(u16),
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Connection => f.write_str("connection_failed"),
            Self::Secret => f.write_str("secret_unreadable"),
            Self::Status(status) => write!(f, "http_{status}"),
        }
    }
}

impl FromStr for ErrorClass {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "timeout" => Ok(Self::Timeout),
            "connection_failed" => Ok(Self::Connection),
            "secret_unreadable" => Ok(Self::Secret),
            other => {
                let status = other.strip_prefix("http_").and_then(|status| status.parse().ok());
                status.map(Self::Status).ok_or(text.to_owned())
            }
        }
    }
}

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: the recipient's side has it.
    Delivered {
        /// The status.
        code: u16,
        /// The report of a JSON answer: acknowledged, seen, or only delivered.
        report: Report,
    },
    /// 400, 413, 415, 422: the endpoint will never accept this message.
    Rejected(ErrorClass),
    /// 410: nothing is pushed there until the endpoint is set again, or a test of it
    /// succeeds.
    Gone(ErrorClass),
    /// Everything else, 3xx and no answer included: try again.
    Retry {
        /// Why.
        class: ErrorClass,
        /// The wait that the endpoint asks for, in seconds.
        retry_after_secs: Option<i64>,
    },
}

impl Outcome {
    /// The outcome of an answer with this status, report and `Retry-After`: see the variants.
    pub fn of(code: u16, report: Report, retry_after_secs: Option<i64>) -> Self {
        let class = ErrorClass::Status(code);
        match code {
            200..=299 => Self::Delivered { code, report },
            400 | 413 | 415 | 422 => Self::Rejected(class),
            410 => Self::Gone(class),
            _ => Self::Retry { class, retry_after_secs },
        }
    }

    /// No answer came.
    pub fn unanswered(class: ErrorClass) -> Self {
        Self::Retry { class, retry_after_secs: None }
    }

    /// The status of the answer, if one came.
    pub fn status(self) -> Option<u16> {
        match (self, self.error()) {
            (Self::Delivered { code, .. }, _) | (_, Some(ErrorClass::Status(code))) => Some(code),
            _ => None,
        }
    }

    /// The error class, unless it was delivered.
    pub fn error(self) -> Option<ErrorClass> {
        match self {
            Self::Delivered { .. } => None,
            Self::Rejected(class) | Self::Gone(class) | Self::Retry { class, .. } => Some(class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_delivered_four_statuses_reject_and_410_turns_off() {
        for code in 100..600 {
            let outcome = Outcome::of(code, Report::DELIVERED, None);
            assert_eq!(outcome.status(), Some(code));
            match code {
                200..=299 => assert!(matches!(outcome, Outcome::Delivered { .. }), "{code}"),
                400 | 413 | 415 | 422 => assert!(matches!(outcome, Outcome::Rejected(_)), "{code}"),
                410 => assert!(matches!(outcome, Outcome::Gone(_))),
                _ => assert!(matches!(outcome, Outcome::Retry { .. }), "{code}"),
            }
        }
    }

    #[test]
    fn an_error_class_is_read_back_as_it_was_written() {
        for class in [ErrorClass::Timeout, ErrorClass::Connection, ErrorClass::Status(503)] {
            let text = serde_json::Value::String(class.to_string());
            assert_eq!(serde_json::from_value(text).ok(), Some(class));
        }
    }
}
