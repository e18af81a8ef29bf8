//! Why a mailbox refuses a command.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;

/// Why a mailbox refuses a command: the object answers with it as JSON, with status 409.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No agent has the name (any longer).
    AgentNotFound,
    /// The caller's incarnation has ended.
    Superseded,
    /// The agent is another owner's.
    NotYours,
    /// No such message for this caller.
    MessageNotFound,
    /// The status would go back.
    InvalidTransition {
        /// The message's status.
        current: String,
    },
    /// [`CAPACITY`](super::CAPACITY) messages are pending.
    MailboxFull,
    /// The key was used for different content.
    IdempotencyMismatch,
    /// A newer configuration is in force.
    Stale,
    /// There is no endpoint to test.
    NoEndpoint,
    /// The object's storage does not answer: it is locked or full. The cause is for
    /// the log.
    Unavailable {
        /// The storage's error.
        cause: String,
    },
    /// An internal error; the cause is for the log.
    Broken {
        /// The error.
        cause: String,
    },
}

impl Refused {
    /// An internal error with this cause.
    pub fn broken(cause: impl fmt::Display) -> Self {
        Self::Broken { cause: cause.to_string() }
    }

    /// Reads the refusal that an object answers with.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(Self::broken)
    }
}

/// For the log.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { cause } | Self::Broken { cause } => f.write_str(cause),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Every unexpected error is an internal error. `Refused` does not implement [`Error`], so `?`
/// converts.
impl<E: Error> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::broken(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_as_it_was_written_and_other_text_is_a_fault() {
        let current = "acked".to_owned();
        for (refused, text) in [
            (Refused::Stale, r#""Stale""#),
            (
                Refused::InvalidTransition { current },
                r#"{"InvalidTransition":{"current":"acked"}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&refused).unwrap(), text);
            assert_eq!(Refused::read(text), refused);
        }
        assert!(matches!(Refused::read("<html>"), Refused::Broken { .. }));
    }
}
