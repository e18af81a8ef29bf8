//! The mailbox in memory, and how it is loaded.

use super::config::{Config, Kind};
use super::notice::Outbox;
use super::queue::Queue;
use super::transit::{Push, Stream};
use super::write::{Advance, Noted, Snapshot, Write};
use crate::{Ms, timing::Timing};
use std::collections::VecDeque;

/// When the agent's holder was there.
#[derive(Debug, Default)]
pub(super) struct Signs {
    pub(super) last: Option<Ms>,
    pub(super) reported: Option<Ms>,
}

/// The mailbox in memory.
#[derive(Debug)]
pub struct Mailbox {
    pub(super) timing: Timing,
    pub(super) config: Option<Config>,
    pub(super) last: Option<(Ms, u64)>,
    pub(super) waiting: Queue,
    /// Waiting messages of incarnations that have ended.
    pub(super) orphans: VecDeque<u64>,
    pub(super) in_flight: Option<Push>,
    pub(super) stream: Option<Stream>,
    pub(super) pushes: u64,
    pub(super) unsaved: Vec<Advance>,
    pub(super) outbox: Outbox,
    pub(super) purge_at: Option<Ms>,
    pub(super) report_held_until: Ms,
    pub(super) signs: Signs,
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
        let mut writes = Vec::new();
        for Noted { seq, reason, .. } in snapshot.noted {
            // Noted, and not failed yet.
            if mailbox.waiting.contains(seq) || mailbox.is_orphan(seq) {
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
        let unsaved = self.unsaved.iter().map(|advance| advance.seq);
        let first = self.waiting.first_seq().into_iter().chain(self.orphans.front().copied());
        let last = self.last.map_or(0, |(_, seq)| seq);
        first.chain(unsaved).min().unwrap_or(last)
    }

    /// The marks of successful pushes that are not written yet.
    pub fn take_unsaved(&mut self) -> Vec<Write> {
        self.unsaved.drain(..).map(Write::Advance).collect()
    }

    /// Are there marks to be written?
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(super) fn note_purge(&mut self, at: Ms) {
        self.purge_at = Some(self.purge_at.map_or(at, |known| known.min(at)));
    }
}
