//! A message before it is stored, and its idempotency key.

use crate::Ms;
use multiclaude_hybrid_protocol::{AgentId, AgentName, MessageId, Owner};
use serde::{Deserialize, Serialize};

/// A message to be stored.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The mailbox's own name, the end of the id.
    pub agent: AgentName,
    /// How long it may be pending, in seconds; 7 days if absent.
    pub ttl_secs: Option<i64>,
    /// The agent to notify if it fails; none for people and for notices.
    pub sender: Option<AgentRef>,
    /// Whose agent that is; may see the receipt.
    pub sender_owner: Option<Owner>,
    /// The idempotency key and the content it was used for.
    pub key: Option<Key>,
    /// The id of its pushes; absent: its own id.
    pub push_id: Option<String>,
    /// For the id.
    pub random: u32,
    /// A notice is stored in a full mailbox, too.
    pub is_notice: bool,
}

/// An incarnation of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentRef {
    /// Its name.
    pub name: AgentName,
    /// The incarnation; a later one gets none of its notices.
    pub id: AgentId,
}

/// An idempotency key and the content it was used for. Both are hashed for a client's key;
/// those of notices (`notice|…`, `worker|…`) and requests (`spawn|…`) are our own and plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Caller, `from` and key.
    pub scope: String,
    /// The message's fields.
    pub content: String,
}

/// The id and the expiry of an accepted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id; the time in it is when it was stored.
    pub id: MessageId,
    /// When it fails unless it is delivered before.
    pub expires_at: Ms,
}

/// The meaning of an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedup {
    /// Never used: store the message.
    New,
    /// Used for the same content: return the first message.
    Same,
    /// Used for something else.
    Mismatch,
}

/// Decides about a key. `remembered` is the content it was used for, and
/// whether its message was stored.
pub fn dedup(remembered: Option<(&str, bool)>, content: &str) -> Dedup {
    match remembered {
        None | Some((_, false)) => Dedup::New,
        Some((first, true)) if first == content => Dedup::Same,
        Some(_) => Dedup::Mismatch,
    }
}
