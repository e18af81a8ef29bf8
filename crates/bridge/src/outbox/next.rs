//! What comes next for a message in the queue.

use std::time::Duration;

/// The earlier attempts with a message.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub attempts: u32,
    /// Its sender was registered again, because the coordinator did not know it.
    pub registered: bool,
}

/// The next step after one attempt with a message.
pub(super) enum Next {
    /// It is no longer in the queue.
    Done,
    /// Try again, for this reason, and not before this time if the coordinator asks for it.
    Again(String, Option<Duration>),
    /// Return it to its sender, for this reason.
    Return(String),
}
