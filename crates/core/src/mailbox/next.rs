//! The object's own work: the next step, and when it must wake for one.

use super::notice::Batch;
use super::pump::Needs;
use super::state::Mailbox;
use crate::Ms;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::FailureReason;

/// One step of the object's own work.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Fail these messages, for one reason: [`Mailbox::fail`].
    Fail(FailureReason, Vec<u64>),
    /// Offer a message over the stream, if its token is still valid:
    /// [`Mailbox::begin_offer`].
    Offer,
    /// Push the oldest message: [`Mailbox::begin_push`].
    Push,
    /// Send a notice to a sender.
    Notify(Batch),
    /// Show in the registry how messages reach the agent.
    ReportChannel((Delivery, Option<String>)),
    /// Show in the registry that the holder was present.
    ReportPresence(Ms),
    /// Delete old rows.
    Purge,
    /// Nothing is due.
    Idle,
}

impl Mailbox {
    /// The next step at `now`. Messages that have expired fail before any is sent, and
    /// sending comes before everything else.
    pub fn next(&self, now: Ms) -> Next {
        if let Some((reason, seqs)) = self.due_to_fail(now) {
            Next::Fail(reason, seqs)
        } else if self.can_offer(now) {
            Next::Offer
        } else if self.can_push(now) {
            Next::Push
        } else if let Some(batch) = self.next_notice(now) {
            Next::Notify(batch)
        } else if let Some(delivery) = self.unreported_channel(now) {
            Next::ReportChannel(delivery)
        } else if let Some(seen) = self.unreported_presence(now) {
            Next::ReportPresence(seen)
        } else if self.purge_due().is_some_and(|at| at <= now) {
            Next::Purge
        } else {
            Next::Idle
        }
    }

    /// The needs of the mailbox at `now`.
    pub fn needs(&self, now: Ms) -> Needs {
        Needs { run: self.next(now) != Next::Idle, wake_at: self.wake_at(now) }
    }

    /// When old rows are to be deleted: the next full `purge_every` after the oldest one's
    /// time, so that a busy mailbox does it once per hour.
    fn purge_due(&self) -> Option<Ms> {
        let every = self.timing.purge_every;
        self.purge_at.map(|at| at.div_euclid(every).saturating_add(1).saturating_mul(every))
    }

    /// Old rows were deleted; the oldest left may go at `next`.
    pub fn purged(&mut self, next: Option<Ms>) {
        self.purge_at = next;
    }

    /// When the object must be woken if nothing else happens.
    pub(super) fn wake_at(&self, now: Ms) -> Option<Ms> {
        let may_fail = !self.outbox.is_full();
        let failing = (may_fail && !self.orphans.is_empty()).then_some(now);
        let expiring = self.pending.next_expiry().filter(|_| may_fail).map(|at| at.max(now));
        let pushing = self.push_guard(now);
        let noting = self.outbox.due().map(|at| at.max(now));
        let report_at = self.report_held_until.max(now);
        let reporting = self.unreported_channel(report_at).map(|_| report_at);
        let purging = self.purge_due().map(|at| at.max(now));
        [failing, expiring, pushing, noting, reporting, purging].into_iter().flatten().min()
    }
}
