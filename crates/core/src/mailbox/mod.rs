//! One agent's mailbox: order, dedup, transitions, push, expiry, notices.
//!
//! *In scope:* every decision, as methods of [`Mailbox`] that take the time
//! and answer with [`Write`]s and facts; [`Next`] and [`Pump`] decide what the object
//! does on its own. *Out of scope:* SQL, HTTP, alarms; the Durable Object executes those.
//!
//! [`Mailbox`] is what an object keeps in memory: the configuration and an
//! index of what waits. It is made from a [`Snapshot`] and may be lost at any
//! moment. The writes of one answer belong together, but they are ordered so
//! that any prefix of them, followed by a new [`Mailbox::load`], loses no
//! message and fails none silently:
//!
//! - a key is remembered before its message is stored, and a key without its
//!   message counts as unknown;
//! - a notice is noted before its message fails, and a noted message that
//!   still waits is failed at the next load;
//! - that a push succeeded may be forgotten: the message is pushed again
//!   under the same id (at least once).
//!
//! FIFO is by place (`seq`), which only grows; the time in an id is the later
//! of now and that of the last id.
//!
//! | file | what |
//! |---|---|
//! | `state` | [`Mailbox`] itself; loading |
//! | `config`, `draft`, `write`, `queue`, `transit`, `standing`, `refused` | the values |
//! | `configure` | configurations, secrets, incarnations |
//! | `accept` | storing messages and reports about them |
//! | `push`, `stream` | sending messages |
//! | `failing`, `notice` | messages that fail, and notices about them |
//! | `presence` | what the registry shows of the agent |
//! | `next`, `pump` | what the object does next, and when it wakes |

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
pub use config::{Config, Configuration, Endpoint, Kind};
pub use draft::{Accepted, Dedup, Draft, Key, SenderRef, dedup};
pub use failing::FAIL_BATCH;
pub use next::Next;
pub use notice::{Batch, NOTICE_BATCH, notice_text};
pub use pump::{Alarm, Event, Follow, Need, Pump, Run};
pub use push::Finished;
pub use queue::Waiting;
pub use refused::Refused;
pub use standing::{Standing, transition};
pub use state::Mailbox;
pub use stream::Offering;
pub use transit::{Offer, Push};
pub use write::{Advance, Insert, Noted, PendingRow, Remember, Snapshot, Stored, Write};
