//! The index of waiting messages: by place for FIFO, by time for expiry.

use crate::Ms;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a waiting message without reading its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When it fails if nobody took it.
    pub expires_at: Ms,
    /// Pushes that failed so far.
    pub attempts: u32,
}

/// Waiting messages of the current incarnation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    by_seq: BTreeMap<u64, Waiting>,
    by_expiry: BTreeSet<(Ms, u64)>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.by_seq.len()
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        self.by_seq.contains_key(&seq)
    }

    pub(super) fn insert(&mut self, seq: u64, waiting: Waiting) {
        self.by_expiry.insert((waiting.expires_at, seq));
        self.by_seq.insert(seq, waiting);
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<Waiting> {
        let waiting = self.by_seq.remove(&seq)?;
        self.by_expiry.remove(&(waiting.expires_at, seq));
        Some(waiting)
    }

    pub(super) fn first_seq(&self) -> Option<u64> {
        self.by_seq.keys().next().copied()
    }

    pub(super) fn first(&self) -> Option<(u64, Waiting)> {
        self.by_seq
            .first_key_value()
            .map(|(&seq, &waiting)| (seq, waiting))
    }

    pub(super) fn count_attempt(&mut self, seq: u64) -> Option<u32> {
        let waiting = self.by_seq.get_mut(&seq)?;
        waiting.attempts += 1;
        Some(waiting.attempts)
    }

    pub(super) fn expired(&self, now: Ms) -> impl Iterator<Item = u64> + '_ {
        self.by_expiry
            .iter()
            .take_while(move |(at, _)| *at <= now)
            .map(|&(_, seq)| seq)
    }

    pub(super) fn next_expiry(&self) -> Option<Ms> {
        self.by_expiry.first().map(|&(at, _)| at)
    }

    /// Takes all places out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = u64> + use<> {
        self.by_expiry.clear();
        std::mem::take(&mut self.by_seq).into_keys()
    }
}
