//! How commands and refusals are read at the other end of the door; they are
//! written by serde.

use super::command::{
    Command, Configured, HeldAnswer, List, OpenStream, Refused, Send, SendingAgent, WaitingCount,
};
use multiclaude_hybrid_protocol::from_value;
use multiclaude_hybrid_protocol::value::{self, FromValue, member, object};
use serde_json::Value;

from_value!(Send { sender, key, ttl_secs, notice_for });
from_value!(SendingAgent { name, id, owner });
from_value!(OpenStream { caller, agent_id, token_id, token_ends });
from_value!(List { caller, agent_id, status, after, limit, wait_ms });
from_value!(Configured { webhook_secret });
from_value!(WaitingCount { waiting });
from_value!(HeldAnswer { held });

/// The variant's name, and its fields.
fn variant(value: Value) -> Option<(String, Value)> {
    match value {
        Value::String(name) => Some((name, Value::Null)),
        value => object(value)?.into_iter().next(),
    }
}

impl FromValue for Command {
    fn from_value(value: Value) -> Option<Self> {
        let (name, fields) = variant(value)?;
        Some(match name.as_str() {
            "Send" => Self::Send(FromValue::from_value(fields)?),
            "List" => Self::List(FromValue::from_value(fields)?),
            "Waiting" => Self::Waiting,
            "TestEndpoint" => Self::TestEndpoint,
            name => {
                let map = &mut object(fields)?;
                match name {
                    "Configure" => Self::Configure {
                        wish: member(map, "wish")?,
                        secret: member(map, "secret")?,
                        rotate: member(map, "rotate")?,
                    },
                    "Close" => Self::Close {
                        agent_id: member(map, "agent_id")?,
                        owner: member(map, "owner")?,
                        version: member(map, "version")?,
                    },
                    "Held" => Self::Held { agent_id: member(map, "agent_id")? },
                    "Receipt" => Self::Receipt {
                        caller: member(map, "caller")?,
                        seq: member(map, "seq")?,
                        uuid: member(map, "uuid")?,
                    },
                    "Report" => Self::Report {
                        caller: member(map, "caller")?,
                        agent_id: member(map, "agent_id")?,
                        seq: member(map, "seq")?,
                        uuid: member(map, "uuid")?,
                        report: member(map, "report")?,
                    },
                    _ => return None,
                }
            }
        })
    }
}

impl FromValue for Refused {
    fn from_value(value: Value) -> Option<Self> {
        let (name, fields) = variant(value)?;
        Some(match name.as_str() {
            "AgentNotFound" => Self::AgentNotFound,
            "Superseded" => Self::Superseded,
            "NotYours" => Self::NotYours,
            "MessageNotFound" => Self::MessageNotFound,
            "MailboxFull" => Self::MailboxFull,
            "IdempotencyMismatch" => Self::IdempotencyMismatch,
            "Stale" => Self::Stale,
            "NoEndpoint" => Self::NoEndpoint,
            "InvalidTransition" => {
                Self::InvalidTransition { current: member(&mut object(fields)?, "current")? }
            }
            "Unavailable" => Self::Unavailable { cause: member(&mut object(fields)?, "cause")? },
            _ => Self::Broken { cause: member(&mut object(fields)?, "cause")? },
        })
    }
}

impl Refused {
    /// What a mailbox answered instead of doing as asked.
    pub fn read(text: &str) -> Self {
        value::read(text).unwrap_or_else(|| Self::unreadable("a refusal"))
    }

    /// A fault: what this house wrote cannot be read.
    pub fn unreadable(what: &str) -> Self {
        Self::Broken { cause: format!("{what} cannot be read") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_core::access::Principal;
    use multiclaude_hybrid_core::mailbox::Configuration;
    use multiclaude_hybrid_core::registry::Version;
    use multiclaude_hybrid_protocol::Timestamp;
    use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
    use multiclaude_hybrid_protocol::token::TokenKind;
    use multiclaude_hybrid_protocol::{AgentId, AgentName, Owner};
    use serde::Serialize;

    fn again<T: Serialize + FromValue>(value: &T) -> String {
        let text = serde_json::to_string(value).unwrap();
        let read: T = value::read(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        text
    }

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let agent_id = AgentId::new(Timestamp(1), [7; 10]);
        let owner = Owner::parse("dan").unwrap();
        let version = Version { generation: 3, revision: 4 };
        let caller = Principal { kind: TokenKind::User, owner: owner.clone() };
        let name = AgentName::parse("ws").unwrap();
        let (seq, uuid) = ((1 << 42) - 1, "0193".to_owned());
        let commands = [
            Command::Configure {
                wish: Configuration {
                    agent_id: agent_id.clone(),
                    owner: owner.clone(),
                    version,
                    endpoint: Some("https://a.example/".into()),
                    sets_endpoint: false,
                },
                secret: Some("whsec_x".into()),
                rotate: true,
            },
            Command::Close { agent_id: agent_id.clone(), owner: owner.clone(), version },
            Command::Send(Send {
                sender: Some(SendingAgent { name, id: agent_id.clone(), owner }),
                key: Some(("scope".into(), "content".into())),
                ttl_secs: Some(60),
                notice_for: Some(agent_id.clone()),
            }),
            Command::Send(Send { sender: None, key: None, ttl_secs: None, notice_for: None }),
            Command::List(List {
                caller: caller.clone(),
                agent_id: None,
                status: Some(MessageStatus::Pending),
                after: seq,
                limit: 500,
                wait_ms: 25_000,
            }),
            Command::Receipt { caller: caller.clone(), seq, uuid: uuid.clone() },
            Command::Report {
                caller: caller.clone(),
                agent_id: Some(agent_id),
                seq,
                uuid: uuid.clone(),
                report: Report::ACKED.and_seen(),
            },
            Command::Report { caller, agent_id: None, seq, uuid, report: Report::DELIVERED },
            Command::Waiting,
            Command::Held { agent_id: AgentId::new(Timestamp(1), [7; 10]) },
            Command::TestEndpoint,
        ];
        for command in &commands {
            again(command);
        }
        let refusals = [
            Refused::AgentNotFound,
            Refused::Superseded,
            Refused::NotYours,
            Refused::MessageNotFound,
            Refused::InvalidTransition { current: "acked".into() },
            Refused::MailboxFull,
            Refused::IdempotencyMismatch,
            Refused::Stale,
            Refused::NoEndpoint,
            Refused::Unavailable { cause: "x".into() },
            Refused::Broken { cause: "x".into() },
        ];
        for refused in &refusals {
            again(refused);
        }
        assert!(matches!(Refused::read("nonsense"), Refused::Broken { .. }));
    }
}
