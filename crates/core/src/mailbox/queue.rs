//! The index of pending messages: by place for FIFO, by time for expiry.
//!
//! Places only grow and messages mostly leave at the front, so a deque in
//! order does what a tree would, in a tenth of the code. Expiry is a heap
//! whose entries may be outdated: messages that are no longer pending are skipped.

use crate::Ms;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The fields of a pending message that are known without reading its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub struct Pending {
    /// When it fails unless it is delivered before.
    pub expires_at: Ms,
    /// Pushes and offers that failed so far.
    pub attempts: u32,
}

/// Pending messages of the current incarnation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    by_seq: VecDeque<(u64, Pending)>,
    by_expiry: BinaryHeap<Reverse<(Ms, u64)>>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.by_seq.len()
    }

    fn find(&self, seq: u64) -> Option<usize> {
        self.by_seq.binary_search_by_key(&seq, |(at, _)| *at).ok()
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        self.find(seq).is_some()
    }

    /// Adds a message; its place is above all others.
    pub(super) fn push(&mut self, seq: u64, pending: Pending) {
        debug_assert!(self.by_seq.back().is_none_or(|(last, _)| *last < seq));
        self.by_expiry.push(Reverse((pending.expires_at, seq)));
        self.by_seq.push_back((seq, pending));
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<Pending> {
        let (_, pending) = self.by_seq.remove(self.find(seq)?)?;
        // Outdated entries at the top go, so that the heap stays in step.
        while let Some(Reverse((_, top))) = self.by_expiry.peek() {
            if self.contains(*top) {
                break;
            }
            self.by_expiry.pop();
        }
        Some(pending)
    }

    pub(super) fn first_seq(&self) -> Option<u64> {
        self.first().map(|(seq, _)| seq)
    }

    pub(super) fn first(&self) -> Option<(u64, Pending)> {
        self.by_seq.front().copied()
    }

    pub(super) fn count_attempt(&mut self, seq: u64) -> Option<u32> {
        let at = self.find(seq)?;
        let (_, pending) = self.by_seq.get_mut(at)?;
        pending.attempts += 1;
        Some(pending.attempts)
    }

    /// At most `limit` expired messages, in order.
    pub(super) fn expired(&self, now: Ms, limit: usize) -> Vec<u64> {
        if self.next_expiry().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let over = self.by_seq.iter().filter(|(_, pending)| pending.expires_at <= now);
        over.take(limit).map(|(seq, _)| *seq).collect()
    }

    pub(super) fn next_expiry(&self) -> Option<Ms> {
        self.by_expiry.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes all places out, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = u64> + use<> {
        self.by_expiry.clear();
        std::mem::take(&mut self.by_seq).into_iter().map(|(seq, _)| seq)
    }
}
