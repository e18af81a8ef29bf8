//! Expired and orphaned messages fail, and their senders get notices.

use super::notice::Batch;
use super::standing::Standing;
use super::state::Mailbox;
use super::write::{Stored, Write};
use crate::Ms;
use multiclaude_hybrid_protocol::message::FailureReason;

/// Messages that fail in one step, so that no step takes long.
pub const FAIL_BATCH: usize = 200;

impl Mailbox {
    pub(super) fn mark_failed(&mut self, seq: u64, reason: FailureReason, now: Ms) -> Write {
        let attempts = self.pending.remove(seq).map(|pending| pending.attempts);
        self.drop_orphan(seq);
        Write::Advance(self.advance(seq, Standing::FAILED, Some(reason), attempts, now))
    }

    /// Messages to fail now, at most [`FAIL_BATCH`], all for one reason.
    ///
    /// A push in flight may still succeed, and an offer may still be answered, so their
    /// message does not fail until then.
    pub fn due_to_fail(&self, now: Ms) -> Option<(FailureReason, Vec<u64>)> {
        if self.outbox.is_full() {
            return None;
        }
        let pushed = self.in_flight.as_ref().map(|push| push.seq);
        let offered = self.offered(now);
        let at_rest = |seqs: Vec<u64>| -> Vec<u64> {
            seqs.into_iter().filter(|seq| Some(*seq) != pushed && Some(*seq) != offered).collect()
        };
        let orphans = at_rest(self.orphans.iter().copied().take(FAIL_BATCH).collect());
        if !orphans.is_empty() {
            return Some((FailureReason::AgentGone, orphans));
        }
        let expired = at_rest(self.pending.expired(now, FAIL_BATCH));
        (!expired.is_empty()).then_some((FailureReason::Expired, expired))
    }

    /// Returns whether it was one.
    pub(super) fn drop_orphan(&mut self, seq: u64) -> bool {
        let found = self.orphans.binary_search(&seq);
        found.is_ok_and(|at| self.orphans.remove(at).is_some())
    }

    /// Fails these messages and notes the notices to their senders.
    pub fn fail(&mut self, failing: Vec<Stored>, reason: FailureReason, now: Ms) -> Vec<Write> {
        let noted = self.outbox.note(&failing, reason);
        let mut writes: Vec<_> = noted.into_iter().map(Write::AddNotice).collect();
        for row in failing {
            writes.push(self.mark_failed(row.seq, reason, now));
        }
        writes
    }

    /// The next batch of notices to send, if one is due.
    pub fn next_notice(&self, now: Ms) -> Option<Batch> {
        self.outbox.next(now)
    }

    /// The notice was stored, or its recipient is gone.
    pub fn notice_done(&mut self, batch: u64) -> Write {
        self.outbox.done(batch);
        Write::DeleteNotices { batch }
    }

    /// The notice could not be sent: try again after `outbox_retry`.
    pub fn notice_failed(&mut self, now: Ms) {
        self.outbox.hold_until(now + self.timing.outbox_retry);
    }
}
