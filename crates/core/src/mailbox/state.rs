//! The mailbox in memory, and how it is loaded.

use super::config::{Config, Kind};
use super::notice::Outbox;
use super::queue::Queue;
use super::transit::{Push, Stream};
use super::write::{Advance, Noted, Snapshot, Write};
use crate::{Ms, timing::Timing};
use std::collections::VecDeque;

/// When the agent's holder was last present.
#[derive(Debug, Default)]
pub(super) struct Presence {
    pub(super) last: Option<Ms>,
    /// As the registry shows it.
    pub(super) reported: Option<Ms>,
}

/// The mailbox in memory.
#[derive(Debug)]
pub struct Mailbox {
    pub(super) timing: Timing,
    pub(super) config: Option<Config>,
    /// Time and place of the newest message: those of the next one are not lower.
    pub(super) last: Option<(Ms, u64)>,
    pub(super) pending: Queue,
    /// Pending messages of incarnations that have ended.
    pub(super) orphans: VecDeque<u64>,
    pub(super) in_flight: Option<Push>,
    pub(super) stream: Option<Stream>,
    /// Pushes begun since the load; the number of the last one.
    pub(super) pushes: u64,
    /// Marks of deliveries, by a push or the stream, that are not written yet.
    pub(super) marks: Vec<Advance>,
    pub(super) outbox: Outbox,
    /// When the oldest row may be deleted.
    pub(super) purge_at: Option<Ms>,
    /// No report to the registry before this: the last one failed.
    pub(super) report_held_until: Ms,
    pub(super) presence: Presence,
}

impl Mailbox {
    /// The mailbox as it was stored, and the writes that finish interrupted work.
    pub fn load(snapshot: Snapshot, timing: Timing, now: Ms) -> (Self, Vec<Write>) {
        let open = snapshot.config.as_ref().filter(|config| config.open);
        let current = open.map(|config| config.version.generation);
        let mut pending = Queue::default();
        let mut orphans = VecDeque::new();
        for row in snapshot.pending {
            if Some(row.generation) == current {
                pending.push(row.seq, row.pending);
            } else {
                orphans.push_back(row.seq);
            }
        }
        let mut mailbox = Self {
            timing,
            config: snapshot.config,
            last: snapshot.last,
            pending,
            orphans,
            in_flight: None,
            stream: None,
            pushes: 0,
            marks: Vec::new(),
            outbox: Outbox::new(&snapshot.noted),
            purge_at: snapshot.purge_at,
            report_held_until: 0,
            presence: Presence::default(),
        };
        let mut writes = Vec::new();
        for Noted { seq, reason, .. } in snapshot.noted {
            // Noted, and not failed yet.
            if mailbox.pending.contains(seq) || mailbox.orphans.binary_search(&seq).is_ok() {
                writes.push(mailbox.mark_failed(seq, reason, now));
            }
        }
        (mailbox, writes)
    }

    /// The configuration, if there ever was one.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// The purpose of the mailbox.
    pub fn kind(&self) -> Kind {
        self.config.as_ref().map_or(Kind::default(), |config| config.kind)
    }

    /// The configuration of the current incarnation, if it has not ended.
    pub fn current(&self) -> Option<&Config> {
        self.config.as_ref().filter(|config| config.open)
    }

    /// How many messages are pending.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The place of the oldest pending message, or else of the next one: a scan can
    /// start there.
    pub fn pending_from(&self) -> u64 {
        let next = self.last.map_or(1, |(_, seq)| seq + 1);
        self.pending.first_seq().unwrap_or(next)
    }

    /// A place below which no stored message is pending, for the next load. A message
    /// whose mark is not written yet is still stored as pending.
    pub fn low_water(&self) -> u64 {
        let marks = self.marks.iter().map(|advance| advance.seq);
        let first = self.pending.first_seq().into_iter().chain(self.orphans.front().copied());
        let last = self.last.map_or(0, |(_, seq)| seq);
        first.chain(marks).min().unwrap_or(last)
    }

    /// The marks of deliveries that are not written yet.
    pub fn take_marks(&mut self) -> Vec<Write> {
        self.marks.drain(..).map(Write::Advance).collect()
    }

    /// Are there marks to be written?
    pub fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    pub(super) fn note_purge(&mut self, at: Ms) {
        self.purge_at = Some(self.purge_at.map_or(at, |known| known.min(at)));
    }
}
