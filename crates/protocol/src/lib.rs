//! Wire types shared by all programs of multiclaude-hybrid.
//!
//! | module | contents |
//! |---|---|
//! | [`name`] | agent names, owners, repositories: checked once |
//! | [`id`] | ids with a prefix; a message id names its mailbox and its place in it |
//! | [`token`] | the format of bearer tokens, and their scopes |
//! | [`webhook`], [`push`] | Standard Webhooks: secrets and signatures; the bodies of pushes |
//! | [`agent`], [`heartbeat`], [`message`] | wire types of the registry and the mailboxes |
//! | [`spawn`], [`config`] | wire types of spawning and of a repo's configuration |
//! | [`callback`], [`audit`], [`health`] | reports of an endpoint of spawn requests; the audit log; the health check |
//! | `schema` (a feature) | their JSON Schemas, for the OpenAPI document |
//! | [`error`] | the closed set of error codes and the problem document |
//! | [`body`], [`metadata`] | bodies of requests, each described once: type, reader, writer, schema |
//! | [`retry_after`] | the header of that name, for pushes and for clients |
//! | [`text`] | removes hidden characters from texts for people and agents |
//! | [`Timestamp`] | milliseconds since the epoch, RFC 3339 on the wire |
//!
//! *In scope:* shapes, their validation and their text forms.
//! *Out of scope:* I/O, clocks, randomness (they are arguments), decisions
//! (those are in `multiclaude-hybrid-core`).

pub mod agent;
pub mod audit;
pub mod body;
pub mod callback;
pub mod config;
pub mod error;
pub mod health;
pub mod heartbeat;
pub mod id;
pub mod message;
pub mod metadata;
pub mod name;
pub mod push;
pub mod retry_after;
pub mod schema;
pub mod spawn;
pub mod text;
mod text_form;
mod time;
pub mod token;
pub mod webhook;
mod wire_enum;

pub use error::ErrorCode;
pub use id::{AgentId, AuditId, MessageId, SpawnId, TokenId};
pub use name::{AgentName, Owner, Repo};
pub use time::Timestamp;
