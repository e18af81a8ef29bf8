//! The commands of a mailbox, and their answers. Both ends use these types.
//!
//! On the wire between Worker and object: the command as one line of JSON,
//! then, for a message, its wire fields as a piece of JSON that neither side
//! parses again. The answer is the body for the client, or a [`Refused`] with
//! status 409.
//!
//! While a new version is rolled out, a Worker may ask an object of another version:
//! fields are only ever added, names stay the same (`rename`), and a command that an object
//! does not know is a fault.

use super::Refused;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::access::Principal;
use multiclaude_hybrid_core::mailbox::ConfigureRequest;
use multiclaude_hybrid_core::registry::{Row, Version};
use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
use multiclaude_hybrid_protocol::{AgentId, AgentName, Owner};
use serde::{Deserialize, Serialize};

/// The end of the name of the object that pushes a repo's requests for workers.
pub const SPAWNS: &str = "/@spawn";
/// Header of an answer: rows the command wrote.
pub const ROWS: &str = "x-rows";
/// Header of the one call that is not a POST: an [`OpenStream`] as JSON, because
/// a request that becomes a WebSocket has no body.
pub const OPEN_STREAM: &str = "x-open-stream";
/// Header of an answer: the id to continue a list after.
pub const NEXT: &str = "x-next";

#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Puts a configuration in force.
    Configure {
        /// The configuration that the registry has.
        #[serde(rename = "wish")]
        request: ConfigureRequest,
        /// The endpoint's secret, if the caller gave one (`whsec_…`).
        secret: Option<String>,
        /// Replace the secret by a generated one.
        rotate: bool,
    },
    /// Ends the incarnation.
    Close {
        agent_id: AgentId,
        owner: Owner,
        /// The tombstone's version.
        version: Version,
    },
    /// Stores a message; its wire fields follow.
    Send(StoreMessage),
    /// Stores a request for a worker, to be pushed under this id; its wire fields follow.
    #[serde(rename = "Request")]
    StoreSpawn {
        /// A [`PushId`](multiclaude_hybrid_core::lease::PushId).
        push_id: String,
    },
    /// Messages, oldest first.
    List(List),
    /// One message, for sender and recipient.
    Receipt {
        caller: Principal,
        /// The message's place.
        seq: u64,
        /// The UUID of its id.
        uuid: String,
    },
    /// The recipient's side reports how far a message has come.
    Report {
        caller: Principal,
        /// The incarnation that it acts for, if it names one.
        agent_id: Option<AgentId>,
        /// The message's place.
        seq: u64,
        /// The UUID of its id.
        uuid: String,
        report: Report,
    },
    /// The number of pending messages.
    #[serde(rename = "Waiting")]
    CountPending,
    /// Is the holder of this incarnation present: connected, or active within 180 s?
    #[serde(rename = "Held")]
    HolderIsPresent {
        agent_id: AgentId,
    },
    TestEndpoint,
}

impl Command {
    /// Closes the mailbox of a tombstone.
    pub fn close(tombstone: &Row) -> Self {
        Self::Close {
            agent_id: tombstone.agent.id.clone(),
            owner: tombstone.agent.owner.clone(),
            version: tombstone.version,
        }
    }
}

/// A message to be stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreMessage {
    /// The sending agent, which gets a notice of a failure; none for people and notices.
    pub sender: Option<SendingAgent>,
    /// The idempotency key's scope and the content it was used for. Both are hashed for a
    /// client's key; `notice|…` and `worker|…` are our own and plain.
    pub key: Option<(String, String)>,
    /// Seconds it may be pending; 7 days if absent.
    pub ttl_secs: Option<i64>,
    /// For a notice: deliver only to this incarnation, even if the mailbox is full.
    pub notice_for: Option<AgentId>,
}

/// The incarnation that sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendingAgent {
    pub name: AgentName,
    pub id: AgentId,
    /// Whose agent it is; may see the receipt.
    pub owner: Owner,
}

/// A client that opens a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenStream {
    pub caller: Principal,
    /// The incarnation that it acts for, if it names one.
    pub agent_id: Option<AgentId>,
    /// The token's id: the stream ends with it.
    pub token_id: String,
    pub token_ends: Option<Ms>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct List {
    pub caller: Principal,
    /// The incarnation that it acts for, if it names one.
    pub agent_id: Option<AgentId>,
    pub status: Option<MessageStatus>,
    /// Only after this place.
    pub after: u64,
    pub limit: u32,
    /// How long an empty answer may be held, in ms.
    pub wait_ms: u64,
}

/// The answer to `Configure`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Configured {
    /// The secret that was generated, to be shown once.
    pub webhook_secret: Option<String>,
}

/// The answer to `HolderIsPresent`.
#[derive(Debug, Serialize, Deserialize)]
pub struct HolderPresence {
    /// The incarnation has an open stream, or was active within 180 s.
    #[serde(rename = "held")]
    pub is_present: bool,
}

/// The answer to `CountPending`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingCount {
    #[serde(rename = "waiting")]
    pub pending: u64,
}

/// What a command has done to its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// It may have changed the configuration, a message, or when something is due.
    Changed,
    /// It has stored a message.
    Stored,
}

/// The answer to a command, inside the object.
pub struct Answer {
    pub effect: Effect,
    pub body: String,
    /// The id to continue a list after.
    pub next: Option<String>,
}

impl Answer {
    pub fn new(effect: Effect, body: impl Into<String>) -> Self {
        Self { effect, body: body.into(), next: None }
    }

    /// The answer `value`.
    pub fn json(effect: Effect, value: &impl Serialize) -> Result<Self, Refused> {
        Ok(Self::new(effect, serde_json::to_string(value)?))
    }

    /// 201 for something new, else 200.
    pub fn status(&self) -> u16 {
        if self.effect == Effect::Stored { 201 } else { 200 }
    }
}

/// A message's wire fields as they follow a [`Command::Send`]: a JSON object without its
/// braces. JSON text holds no line feed, so the first `\n` ends the command.
pub fn wire_fields(fields: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(fields)?;
    text.pop();
    text.remove(0);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_protocol::Timestamp;
    use serde_json::{json, to_value};

    #[test]
    fn commands_keep_their_names_between_two_versions() {
        let agent_id = AgentId::new(Timestamp(0), [0; 10]);
        assert_eq!(to_value(Command::CountPending).unwrap(), json!("Waiting"));
        let held = json!({ "Held": { "agent_id": agent_id } });
        assert_eq!(to_value(Command::HolderIsPresent { agent_id }).unwrap(), held);
        assert_eq!(to_value(PendingCount { pending: 1 }).unwrap(), json!({ "waiting": 1 }));
        let spawn = Command::StoreSpawn { push_id: "spn_1".to_owned() };
        assert_eq!(to_value(spawn).unwrap(), json!({ "Request": { "push_id": "spn_1" } }));
        let present = HolderPresence { is_present: true };
        assert_eq!(to_value(present).unwrap(), json!({ "held": true }));
    }
}
