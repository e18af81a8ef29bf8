//! One Durable Object per agent: its mailbox, named `owner/repo/agent`.
//!
//! One object per agent makes it the only writer of that agent's messages:
//! order, dedup and transitions are atomic without locks, and agents scale
//! out independently. `multiclaude_hybrid_core::mailbox` decides; the object
//! executes over SQLite and HTTP.
//!
//! | module | what it is |
//! |---|---|
//! | [`command`] | the commands of a mailbox, and their answers |
//! | [`door`] | sends a command, from a Worker or another mailbox |
//! | [`object`] | the object: state, loading, events |
//! | [`commands`] | executes commands: messages, endpoint |
//! | [`pump`] | the object's own work: pushes, notices, reports, its alarm |
//! | [`stream`] | a client's WebSocket, which takes the place of pushes |
//! | [`sql`] | every statement |
//!
//! # Costs
//!
//! | step | Worker requests | object requests | D1 statements | rows written |
//! |---|---|---|---|---|
//! | send (with an idempotency key) | 1 | 1 | 0 | 1 (2) |
//! | push | 0 | 0 | 0 | 1, with the next command or within 250 ms |
//! | failed push | 0 | 0 | 1 when the endpoint begins to fail, 1 when it works again | 2, and an alarm |
//! | stream: offer and answer | 0 | 1/20 (a frame) | 0 | 1, as for a push |
//! | idle stream | 0 | 0 | 0 | 0 |
//! | poll, receipt | 1 | 1 | 0 | 0 |
//! | ack, with or without seen | 1 | 1 | 0 | 1, repeated 0 |
//! | seen, reported separately | 1 | 1 | 0 | 1, repeated 0 |
//! | presence, after a poll or a report | 0 | 0 | 1 after the object is loaded, then 1 in 60 s | 0, and in D1 1 in 60 s |
//! | alarm | 0 | 1 when it fires | 0 | 1, at most once in 5 s |
//! | purge, once per hour | 0 | 0 | 0 | 1 for a deleted message (3 with a key) |
//! | a token that the isolate does not know | 0 | 0 | 2 in 60 s, one of them after the answer | 0 |
//! | a sender that the isolate does not know | 0 | 0 | 1 in 60 s | 0 |
//! | a stream's token, before an offer | 0 | 0 | 1 in 60 s | 0 |
//!
//! In all, beside the alarm, a message costs 6 rows with a key: message and key stored, the
//! mark or the report, its outcome kept with the key, message and key deleted. Without a
//! key it costs 3: stored, marked, deleted. Each further report (*acked*, *seen*) is one more.
//!
//! A send copies the body three times: into the Worker, into the object, into
//! SQLite. Lists and pushes leave SQLite as the JSON that goes on the wire.

pub mod command;
pub mod commands;
pub mod door;
pub mod object;
pub mod pump;
pub mod sql;
pub mod stream;

pub use command::Command;
pub use door::Door;
pub use multiclaude_hybrid_core::mailbox::Refused;
