//! One Durable Object per agent: its mailbox, named `owner/repo/agent`.
//!
//! One object per agent makes it the only writer of that agent's messages:
//! order, dedup and transitions are atomic without locks, and agents scale
//! out independently. `multiclaude_hybrid_core::mailbox` decides; the object
//! executes over SQLite and HTTP.
//!
//! | module | what |
//! |---|---|
//! | [`command`] | the commands of a mailbox, and their answers |
//! | [`door`] | how a Worker, or another mailbox, sends one |
//! | [`object`] | the object: state, loading, events |
//! | [`commands`] | executes commands: messages, endpoint |
//! | [`pump`] | the object's own work: pushes, notices, reports, its alarm |
//! | [`stream`] | a client's WebSocket, which takes the place of pushes |
//! | [`vault`] | webhook secrets, sealed at rest |
//! | [`sql`] | every statement |
//!
//! # What a message costs
//!
//! | step | Worker requests | object requests | D1 statements | rows written |
//! |---|---|---|---|---|
//! | send (with an idempotency key) | 1 | 1 | 0 | 1 (2) |
//! | push | 0 | 0 | 0 | 1, with the next write or after 250 ms |
//! | stream: offer and answer | 0 | 1/20 (a frame) | 0 | 1, likewise |
//! | poll | 1 | 1 | 0, and now and then 1 afterwards | 0 |
//! | seen, reported apart | 1 | 1 | 0 | 1 |
//! | ack, with or without seen | 1 | 1 | 0 | 1 |
//!
//! D1 is asked when the isolate does not know the caller's token (2
//! statements, one of them after the answer) or the sender's owner (1), each
//! at most once in 60 s, and whether a stream's token still holds (1), before
//! a message is offered, as rarely. That the holder was there (it polled, or
//! reported without a stream) is reported to D1 after the answer: one statement when
//! the object has just been loaded, else one in 60 s; it writes a row only if the
//! registry knows of nothing within 60 s. An idle stream costs nothing. A message's
//! life costs 4 rows with a key, 3 without, and one more if *seen* is reported
//! apart. A receipt costs what a poll does, and a repeated report no row.
//! Apart from that: an alarm is set when something waits that no alarm covers,
//! at most one in 5 s for a busy mailbox (one row each, and one object request
//! when it fires); rows that are no longer kept are deleted once an hour. A
//! failed push costs 2 rows and an alarm, and D1 one statement when the
//! endpoint starts to fail and one when it works again.
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
pub mod vault;

pub use command::Command;
pub use door::Door;
pub use multiclaude_hybrid_core::mailbox::Refused;
