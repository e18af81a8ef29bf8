//! Stored rows and the changes to them, as data.

use super::config::Config;
use super::draft::{AgentRef, Key};
use super::queue::Pending;
use crate::Ms;
use multiclaude_hybrid_protocol::Owner;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus};
use serde::Deserialize;

/// One change: one SQL statement, and one row unless stated otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Replaces the configuration.
    Config(Box<Config>),
    /// Remembers an idempotency key; replaces one whose message is missing.
    RememberKey(Remember),
    /// Stores a message.
    Insert(Box<Insert>),
    /// Moves a message forward; without effect on one that is as far.
    Advance(Advance),
    /// Counts a push or an offer that failed.
    Attempt {
        /// The message.
        seq: u64,
        /// Pushes and offers so far.
        attempts: u32,
        /// The class of the last failure.
        error: String,
    },
    /// Stores a notice to be sent; without effect if it is stored already.
    AddNotice(Noted),
    /// Deletes a batch of notices, which was sent (as many rows as it has).
    DeleteNotices {
        /// The batch.
        batch: u64,
    },
}

/// A message on its way into the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// Its place.
    pub seq: u64,
    /// The UUID of its id.
    pub uuid: String,
    /// The incarnation it is for.
    pub generation: u32,
    /// When it fails unless it is delivered before.
    pub expires_at: Ms,
    /// The recipient of a notice if it fails.
    pub sender: Option<AgentRef>,
    /// The owner of the agent that sent it.
    pub sender_owner: Option<Owner>,
    /// The scope of its idempotency key.
    pub key: Option<String>,
    /// The id of its pushes; none: its own id.
    pub push_id: Option<String>,
    /// Its wire form up to the fields that change, without the last brace.
    pub head: String,
}

/// An idempotency key on its way into the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remember {
    /// The key, with the content it was used for.
    pub key: Key,
    /// Its message.
    pub seq: u64,
    /// When it may be forgotten.
    pub expires_at: Ms,
}

/// A message has moved forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The message.
    pub seq: u64,
    /// The status; without effect on a message that is further.
    pub status: MessageStatus,
    /// It is seen, too.
    pub seen: bool,
    /// Why, if it failed.
    pub reason: Option<FailureReason>,
    /// When.
    pub at: Ms,
    /// Pushes and offers so far; absent: as stored.
    pub attempts: Option<u32>,
    /// When its row may be deleted, if its status changes.
    pub purge_at: Ms,
}

/// One failed message whose sender gets a notice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Noted {
    /// The failed message.
    pub seq: u64,
    /// The UUID of its id.
    pub uuid: String,
    /// The first failed message of the batch, as the batch's name.
    pub batch: u64,
    /// The recipient of the notice.
    pub recipient: AgentRef,
    /// Why it failed.
    pub reason: FailureReason,
}

/// The fields of a stored message that are needed to fail it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// Its place.
    pub seq: u64,
    /// The UUID of its id.
    pub uuid: String,
    /// The recipient of the notice.
    pub sender: Option<AgentRef>,
}

/// A pending message in a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PendingRow {
    /// Its place.
    pub seq: u64,
    /// The incarnation it is for.
    pub generation: u32,
    /// Its expiry, and its failed attempts.
    pub pending: Pending,
}

/// The stored state that a mailbox is loaded from.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The configuration.
    pub config: Option<Config>,
    /// Time and place of the newest message.
    pub last: Option<(Ms, u64)>,
    /// Every pending message.
    pub pending: Vec<PendingRow>,
    /// Every notice that was not sent.
    pub noted: Vec<Noted>,
    /// When the next row may be deleted.
    pub purge_at: Option<Ms>,
}
