//! Wire types of the mailboxes.

mod report;

pub use report::{Report, StreamReport};

use crate::body::rules::{Rule, text_of};
use crate::body::{Fields, body};
use crate::metadata::Metadata;
use crate::text_form::text_form;
use crate::wire_enum::wire_enum;
use crate::{AgentName, MessageId, Owner, Repo, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::{DeserializeFromStr, SerializeDisplay};
use std::fmt;

/// Bytes that a message's body may have.
pub const BODY_MAX: usize = 64 * 1024;
/// The longest and the default time that a message is pending, in seconds: 7 days.
pub const TTL_MAX_SECS: i64 = 7 * 24 * 3600;
/// Characters that a thread's id may have.
pub(crate) const THREAD_MAX: usize = 128;

wire_enum!(
    /// How far a message has come: `pending → delivered → acked`, or `failed`.
    MessageStatus {
        /// Stored, and not delivered yet.
        Pending = "pending",
        /// The recipient's side has taken it: a bridge or an endpoint has stored it, or
        /// `inbox` has shown it.
        Delivered = "delivered",
        /// The recipient has acknowledged it.
        Acked = "acked",
        /// It will not be delivered; `failure_reason` says why.
        Failed = "failed",
    }
);

wire_enum!(
    /// Why a message failed.
    FailureReason {
        /// It was not delivered in time.
        Expired = "expired",
        /// The recipient was deregistered or replaced.
        AgentGone = "agent_gone",
        /// The recipient's endpoint refused it for good.
        Rejected = "rejected",
    }
);

/// Who sends: an agent, a person, or the coordinator itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, SerializeDisplay, DeserializeFromStr)]
pub enum Sender {
    /// A registered agent.
    Agent(AgentName),
    /// `user:<owner>`: a person, who has no mailbox and gets receipts only.
    User(Owner),
    /// The coordinator. A client cannot send as `system`.
    System,
}

impl Sender {
    /// Reads a sender that a client may use: not `system`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("user:") {
            Some(owner) => Owner::parse(owner)
                .map(Self::User)
                .map_err(|error| format!("the owner after user: {error}")),
            None => text.parse().map(Self::Agent),
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => write!(f, "{name}"),
            Self::User(owner) => write!(f, "user:{owner}"),
            Self::System => f.write_str("system"),
        }
    }
}

text_form! {
    Sender: |text| match text {
        "system" => Ok(Self::System),
        text => Self::parse(text),
    };
}

/// One message.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Message {
    /// Contains the mailbox and the place in it; the same on every delivery.
    pub id: MessageId,
    /// Who sent it.
    pub from: Sender,
    /// The owner of the token that sent it; `system` for notices.
    pub from_owner: String,
    /// The recipient.
    pub to: AgentName,
    /// `owner/repo`.
    pub repo: Repo,
    /// The text.
    pub body: String,
    /// How far it has come.
    pub status: MessageStatus,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it fails unless it is delivered before.
    pub expires_at: Timestamp,
    /// When it was delivered to the recipient's side.
    pub delivered_at: Option<Timestamp>,
    /// When the agent itself received it, as was proven; absent if that was not reported.
    pub seen_at: Option<Timestamp>,
    /// When the recipient acknowledged it.
    pub acked_at: Option<Timestamp>,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
    /// Why it failed.
    pub failure_reason: Option<FailureReason>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Flexible key-value pairs.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Pushes and offers on the stream so far.
    #[serde(default)]
    pub attempts: u32,
    /// The class of the last failure: `http_<status>`, `timeout`, `connection_failed`,
    /// `secret_unreadable`, or `stream_unanswered` for an offer without an answer.
    pub last_error: Option<String>,
}

body! {
    /// A message to be stored.
    pub struct NewMessage {
        /// An agent that the caller may act for, or, with a user token, `user:<owner>`.
        pub from: Sender = required(Speaker),
        /// The recipient.
        pub to: AgentName = required(parsed()),
        /// The text, at most 65536 bytes of UTF-8.
        pub body: String = required(text().large(BODY_MAX)),
        /// The conversation it belongs to; no control characters.
        pub thread_id: Option<String> = optional(text().chars(1, THREAD_MAX).one_line()),
        /// The message it answers.
        pub reply_to: Option<MessageId> = optional(parsed()),
        /// Flexible key-value pairs.
        pub metadata: Metadata = with_default(Metadata::new(), Pairs),
        /// How long it may be pending, in seconds; then it fails and the sending agent is
        /// notified. 7 days if absent.
        pub ttl_seconds: Option<i64> = optional(integer(1..=TTL_MAX_SECS)),
    }
}

/// A sender that a client can be: not the coordinator, which `parsed` reads as well.
struct Speaker;

impl Rule for Speaker {
    type Value = Sender;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<Sender> {
        let text = text_of(value, name, fields)?;
        Sender::parse(&text).map_err(|error| fields.fault(name, error)).ok()
    }

    fn written<'a>(&self, value: &'a Sender) -> impl Serialize + 'a {
        value
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> Value {
        serde_json::json!({ "anyOf": [
            generator.subschema_for::<AgentName>(),
            { "type": "string", "pattern": crate::schema::patterns::PERSON },
        ] })
    }
}

impl NewMessage {
    /// A message with nothing but its text.
    pub fn new(from: Sender, to: AgentName, body: &str) -> Self {
        Self {
            from,
            to,
            body: body.to_owned(),
            thread_id: None,
            reply_to: None,
            metadata: Metadata::new(),
            ttl_seconds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Body, BodyError, read};
    use serde_json::json;

    #[test]
    fn a_body_of_64_kib_passes_and_one_byte_more_does_not() {
        let of = |size: usize| {
            let body = json!({"from": "a", "to": "b", "body": "x".repeat(size)});
            NewMessage::read(body.to_string().as_bytes())
        };
        assert!(of(BODY_MAX).is_ok());
        let (field, bytes) = ("body".to_owned(), BODY_MAX + 1);
        assert_eq!(of(BODY_MAX + 1), Err(BodyError::TooLarge { field, bytes, max: BODY_MAX }));
    }

    #[test]
    fn a_person_sends_as_user_and_nobody_as_system() {
        assert_eq!(Sender::parse("user:dan"), Ok(Sender::User(Owner::parse("dan").unwrap())));
        for bad in ["system", "user:", "user:Dan", "user", "a.b"] {
            let refused = read::<NewMessage>(&json!({"from": bad, "to": "b", "body": ""}));
            assert_eq!(refused.unwrap_err(), ["from"], "{bad}");
        }
    }

    #[test]
    fn a_thread_has_128_characters_however_many_bytes_they_are() {
        let of = |thread: String| {
            let body = json!({"from": "a", "to": "b", "body": "", "thread_id": thread});
            read::<NewMessage>(&body)
        };
        assert!(of("ä".repeat(128)).is_ok());
        assert!(of("ä".repeat(129)).is_err());
        assert!(of("a\u{85}".to_owned()).is_err());
    }

    #[test]
    fn every_bad_field_of_a_message_is_named() {
        let faults = read::<NewMessage>(&json!({
            "to": "a.b", "body": 5, "thread_id": "", "reply_to": "msg_1", "ttl_seconds": 604_801,
        }));
        let wanted = ["from", "to", "body", "thread_id", "reply_to", "ttl_seconds"];
        assert_eq!(faults.unwrap_err(), wanted);
    }
}
