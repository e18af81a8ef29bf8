//! One agent's mailbox: order, dedup, transitions, push, expiry, notices.
//!
//! *In scope:* every decision, as methods of [`Mailbox`] that take the time and return
//! [`Write`]s and facts; [`Next`] and [`Pump`] decide what the object does on its own.
//! *Out of scope:* SQL, HTTP, alarms; the Durable Object executes those.
//!
//! An object keeps a [`Mailbox`] in memory: the configuration and an index of pending
//! messages. It is made from a [`Snapshot`] and may be lost at any moment. The writes of
//! one call belong together, but they are ordered so that any prefix of them, followed by
//! a new [`Mailbox::load`], loses no message and fails none silently:
//!
//! - a key is remembered before its message is stored, and a key without its message
//!   counts as unknown;
//! - a notice is noted before its message fails, and a noted message that is still
//!   pending fails at the next load;
//! - the mark of a delivery, by a push or the stream, may be lost: the message is sent again
//!   under the same id (at least once).
//!
//! FIFO is by place (`seq`), which only grows; the time in an id is the later of now and
//! the time of the last id.
//!
//! # A message's forms
//!
//! | type | where | what it is |
//! |---|---|---|
//! | `NewMessage` | protocol | the body of the request |
//! | `SentFields` | coordinator, `handlers` | the wire fields that are known before the mailbox; they are not parsed again |
//! | `StoreMessage` | coordinator, `mailbox/command` | the command from Worker to object; the wire fields follow it |
//! | [`Draft`] | `draft` | the facts that decide whether and how it is stored |
//! | [`Accepted`] | `draft` | its id and limit, once it is accepted |
//! | [`Insert`] | `write` | its row |
//! | `Fresh` | coordinator, `mailbox/object` | the last stored one, kept in memory for its first push or offer |
//! | [`Pending`] | `queue` | a pending one in the index |
//! | [`Push`], [`Offer`] | `transit` | in transit to an endpoint, or over a stream |
//! | [`Stored`] | `write` | the fields that are needed to fail it |
//! | `Message` | protocol | the wire form that clients read |
//!
//! | file | what |
//! |---|---|
//! | `state` | [`Mailbox`] itself; loading |
//! | `config`, `draft`, `write`, `queue`, `transit`, `standing`, `refused` | the values |
//! | `configure` | configurations, secrets, incarnations |
//! | `accept` | storing messages and reports about them |
//! | `push`, `stream` | sending messages |
//! | `failing`, `notice` | messages that fail, and notices about them |
//! | `presence` | reports to the registry |
//! | `next`, `pump` | the object's next step, and when it wakes |

mod accept;
mod config;
mod configure;
mod draft;
mod failing;
#[cfg(test)]
mod model;
mod next;
mod notice;
mod presence;
mod pump;
mod push;
mod queue;
mod refused;
mod standing;
mod state;
mod stream;
mod transit;
mod write;

pub use accept::CAPACITY;
pub use config::{Config, ConfigureRequest, Endpoint, Kind};
pub use draft::{Accepted, AgentRef, Dedup, Draft, Key, dedup};
pub use failing::FAIL_BATCH;
pub use next::Next;
pub use notice::{Batch, NOTICE_BATCH, notice_text};
pub use pump::{Actions, Alarm, Event, Needs, Pump, Run};
pub use push::Finished;
pub use queue::Pending;
pub use refused::Refused;
pub use standing::{Standing, transition};
pub use state::Mailbox;
pub use stream::Offering;
pub use transit::{Offer, Push};
pub use write::{Advance, Insert, Noted, PendingRow, Remember, Snapshot, Stored, Write};
