//! Why a stored message waits.

use std::fmt;

/// Why a stored message is not placed yet. People are shown its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The human has not accepted messages of this owner.
    NotAccepted {
        /// The sender's verified owner.
        owner: String,
    },
    /// Its file cannot be written now, for this reason.
    CannotBePlaced(String),
}

impl Reason {
    /// The owner whose messages are not accepted, if that is the reason.
    pub fn unaccepted_owner(&self) -> Option<&str> {
        match self {
            Self::NotAccepted { owner } => Some(owner),
            Self::CannotBePlaced(_) => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepted { owner } => write!(f, "not accepted from {owner}"),
            Self::CannotBePlaced(reason) => f.write_str(reason),
        }
    }
}
