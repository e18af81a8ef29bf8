//! One agent's mailbox: order, dedup, transitions, push, expiry, notices.
//!
//! *In scope:* every decision, as methods of [`Mailbox`] that take the time
//! and answer with [`Write`]s and facts. *Out of scope:* SQL, HTTP, alarms;
//! the Durable Object executes those.
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

mod config;
mod failing;
#[cfg(test)]
mod model;
mod notice;
mod push;
mod queue;
mod signs;
mod standing;
mod stream;
mod wake;
mod write;

pub use config::{Config, Configuration, Endpoint, HeldSecret, SecretPlan, StaleConfiguration};
pub use notice::{Batch, NOTICE_BATCH, notice_text};
pub use push::{Finished, Push};
pub use queue::Waiting;
pub use standing::{Standing, transition};
pub use stream::{Next, Offer, Stream};
pub use write::{Insert, Noted, PendingRow, Remember, SenderRef, Settled, Snapshot, Stored, Write};

use crate::{Ms, timing::Timing};
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus, Report, TTL_MAX_SECS};
use multiclaude_hybrid_protocol::{AgentName, MessageId, Timestamp};
use notice::Outbox;
use queue::Queue;
use signs::Signs;
use std::collections::VecDeque;

/// Messages that may wait in one mailbox.
pub const CAPACITY: usize = 10_000;
/// Messages that fail in one go, so that no turn takes long.
pub const FAIL_BATCH: usize = 200;

/// The mailbox in memory.
#[derive(Debug)]
pub struct Mailbox {
    timing: Timing,
    config: Option<Config>,
    last: Option<(Ms, u64)>,
    waiting: Queue,
    /// Waiting messages of incarnations that have ended.
    orphans: VecDeque<u64>,
    in_flight: Option<Push>,
    stream: Option<Stream>,
    pushes: u64,
    unsaved: Vec<Settled>,
    outbox: Outbox,
    purge_at: Option<Ms>,
    report_held_until: Ms,
    signs: Signs,
}

/// A message to be stored.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The mailbox's own name, the end of the id.
    pub agent: AgentName,
    /// How long it may wait, in seconds; 7 days if absent.
    pub ttl_secs: Option<i64>,
    /// The agent to tell if it fails; none for people and for notices.
    pub sender: Option<SenderRef>,
    /// The idempotency key and the content it stands for, both hashed.
    pub key: Option<Key>,
    /// For the id.
    pub random: u32,
    /// A notice is stored in a full mailbox, too.
    pub is_notice: bool,
}

/// A hashed idempotency key with the hash of what it was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Caller, `from` and key.
    pub scope: String,
    /// The message's fields.
    pub content: String,
}

/// A stored message's id and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id; the time in it is when it was stored.
    pub id: MessageId,
    /// When it fails if nobody took it.
    pub expires_at: Ms,
}

/// Why a message is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has this name (any longer).
    NotFound,
    /// [`CAPACITY`] messages wait already.
    Full,
}

/// What an idempotency key that was seen before means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedup {
    /// Never used: store the message.
    New,
    /// Used for the same content: answer the first message.
    Same,
    /// Used for something else.
    Mismatch,
}

/// Decides about a key. `remembered` is the content it was used for, and
/// whether that message was really stored.
pub fn dedup(remembered: Option<(&str, bool)>, content: &str) -> Dedup {
    match remembered {
        None | Some((_, false)) => Dedup::New,
        Some((first, true)) if first == content => Dedup::Same,
        Some(_) => Dedup::Mismatch,
    }
}

impl Mailbox {
    /// The mailbox as it was stored, and the writes that repair what an
    /// interruption left half done.
    pub fn load(snapshot: Snapshot, timing: Timing, now: Ms) -> (Self, Vec<Write>) {
        let open = snapshot.config.as_ref().filter(|config| config.open);
        let current = open.map(|config| config.version.generation);
        let mut waiting = Queue::default();
        let mut orphans = VecDeque::new();
        for row in snapshot.pending {
            if Some(row.generation) == current {
                waiting.push(row.seq, row.waiting);
            } else {
                orphans.push_back(row.seq);
            }
        }
        let mut mailbox = Self {
            timing,
            config: snapshot.config,
            last: snapshot.last,
            waiting,
            orphans,
            in_flight: None,
            stream: None,
            pushes: 0,
            unsaved: Vec::new(),
            outbox: Outbox::new(&snapshot.noted),
            purge_at: snapshot.purge_at,
            report_held_until: 0,
            signs: Signs::default(),
        };
        let half_failed = snapshot
            .noted
            .into_iter()
            .filter(|noted| mailbox.waiting.contains(noted.seq) || mailbox.is_orphan(noted.seq));
        let half_failed: Vec<_> = half_failed.collect();
        let repaired =
            half_failed.iter().map(|noted| mailbox.settle_failed(noted.seq, noted.reason, now));
        let writes = repaired.map(Write::Settle).collect();
        (mailbox, writes)
    }

    /// The configuration, if there ever was one.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// The configuration of the incarnation that is alive.
    pub fn open(&self) -> Option<&Config> {
        self.config.as_ref().filter(|config| config.open)
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The oldest place at which a message waits, or the next one to be given:
    /// a scan can start there.
    pub fn pending_from(&self) -> u64 {
        let next = self.last.map_or(1, |(_, seq)| seq + 1);
        self.waiting.first_seq().unwrap_or(next)
    }

    /// A place below which no stored message waits, for the next load. One
    /// whose mark is not written yet still waits there.
    pub fn low_water(&self) -> u64 {
        let unsaved = self.unsaved.iter().map(|settled| settled.seq);
        let first = self.waiting.first_seq().into_iter().chain(self.orphans.front().copied());
        let last = self.last.map_or(0, |(_, seq)| seq);
        first.chain(unsaved).min().unwrap_or(last)
    }

    /// Stores a message; `render` makes its wire form once the id is known.
    pub fn accept(
        &mut self,
        draft: Draft,
        now: Ms,
        render: impl FnOnce(&Accepted) -> String,
    ) -> Result<(Accepted, Vec<Write>), Refusal> {
        let generation = self.open().ok_or(Refusal::NotFound)?.version.generation;
        if self.waiting.len() >= CAPACITY && !draft.is_notice {
            return Err(Refusal::Full);
        }
        let (last_ms, last_seq) = self.last.unwrap_or((0, 0));
        let (ms, seq) = (now.max(last_ms), last_seq + 1);
        let ttl = draft.ttl_secs.unwrap_or(TTL_MAX_SECS).saturating_mul(self.timing.second);
        let accepted = Accepted {
            id: MessageId::new(Timestamp(ms), seq, draft.random, draft.agent),
            expires_at: ms + ttl,
        };
        let mut writes = Vec::with_capacity(2);
        let key = draft.key.as_ref().map(|key| key.scope.clone());
        if let Some(key) = draft.key {
            let expires_at = now + self.timing.keep_keys;
            self.note_purge(expires_at);
            writes.push(Write::Remember(Remember { key, seq, expires_at }));
        }
        writes.push(Write::Insert(Box::new(Insert {
            seq,
            uuid: accepted.id.uuid_hex(),
            generation,
            expires_at: accepted.expires_at,
            sender: draft.sender,
            key,
            head: render(&accepted),
        })));
        self.last = Some((ms, seq));
        self.waiting.push(seq, Waiting { expires_at: accepted.expires_at, attempts: 0 });
        Ok((accepted, writes))
    }

    /// The recipient's side makes a report of the message at `seq`, which
    /// stands at `current`. `Ok(None)`: nothing changes.
    pub fn report(
        &mut self,
        seq: u64,
        current: Standing,
        report: Report,
        now: Ms,
    ) -> Result<Option<Settled>, MessageStatus> {
        let Some(next) = transition(current, report)? else {
            return Ok(None);
        };
        self.drop_orphan(seq);
        let attempts = self.waiting.remove(seq).map(|waiting| waiting.attempts);
        Ok(Some(self.settled(seq, next, None, attempts, now)))
    }

    fn settled(
        &mut self,
        seq: u64,
        next: Standing,
        reason: Option<FailureReason>,
        attempts: Option<u32>,
        now: Ms,
    ) -> Settled {
        let keep = match next.status {
            MessageStatus::Acked => self.timing.keep_acked,
            _ => self.timing.keep_settled,
        };
        let purge_at = now + keep;
        self.note_purge(purge_at);
        let Standing { status, seen } = next;
        Settled { seq, status, seen, reason, at: now, attempts, purge_at }
    }

    /// The marks of successful pushes that are not written yet.
    pub fn take_unsaved(&mut self) -> Vec<Write> {
        self.unsaved.drain(..).map(Write::Settle).collect()
    }

    /// Are there marks to be written?
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    fn note_purge(&mut self, at: Ms) {
        self.purge_at = Some(self.purge_at.map_or(at, |known| known.min(at)));
    }
}
