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
//! # One send
//!
//! A message to an agent with an endpoint, in order; *core* is
//! `multiclaude_hybrid_core::mailbox`:
//!
//! 0. `lib.rs` `fetch`, `serve`: `router::find`, then `extract.rs` `Handler::serve`, which runs the
//!    extractors of the handler's parameters (in `auth.rs`, `idempotency.rs`, `extract.rs`), and
//!    the handler.
//! 1. `handlers/messages.rs` `send` → `door.rs` `send_command`: from the Worker to the object.
//! 2. `object.rs` `Mailbox::fetch`, `execute_command`: loads the mailbox, if necessary.
//! 3. `commands/messages.rs` `send`, `store`: core's `accept` decides; `apply_writes` stores
//!    message and key. The effect is `Stored`.
//! 4. `object.rs` `changed`: held lists read again. `pump/mod.rs` `follow`: `decide` asks
//!    core's `Pump::after`, which answers with an alarm and a run.
//! 5. `follow` spawns the run with `wait_until` and sets the alarm; the sender gets its 201.
//! 6. `pump/mod.rs` `run`: core's `Pump::begin` allows one at a time. `steps`: core's `next`
//!    is `Push`, until it is `Idle`.
//! 7. `pump/push.rs` `push`: core's `begin_push`, `delivery::post`, core's `finish_push`. The
//!    mark of a success is left in core's `marks`.
//! 8. `pump/marks.rs` `flush_soon`: 250 ms later `flush` writes the mark, if no command has.
//! 9. `run` ends: `Pump::after` says whether the alarm moves.
//!
//! With a stream, step 7 is `stream/mod.rs` `offer`, and the client's `frame` comes later:
//! `take_report`, core's `confirm`, and step 8.
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
