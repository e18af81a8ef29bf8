//! When the object has to be awake by itself.

use super::Mailbox;
use crate::Ms;

impl Mailbox {
    /// When old rows are to be deleted: the next full `purge_every` after the
    /// oldest one's time, so that a busy mailbox does it once an hour.
    pub fn purge_due(&self) -> Option<Ms> {
        let every = self.timing.purge_every;
        self.purge_at.map(|at| at.div_euclid(every).saturating_add(1).saturating_mul(every))
    }

    /// Old rows were deleted; the oldest left may go at `next`.
    pub fn purged(&mut self, next: Option<Ms>) {
        self.purge_at = next;
    }

    /// When the object must be woken if nothing else happens.
    pub fn wake_at(&self, now: Ms) -> Option<Ms> {
        let may_fail = !self.outbox.is_full();
        let failing = (may_fail && !self.orphans.is_empty()).then_some(now);
        let expiring = self.waiting.next_expiry().filter(|_| may_fail).map(|at| at.max(now));
        let pushing = self.push_guard(now);
        let noting = self.outbox.due().map(|at| at.max(now));
        let reporting = self.report_due(now);
        let purging = self.purge_due().map(|at| at.max(now));
        [failing, expiring, pushing, noting, reporting, purging].into_iter().flatten().min()
    }
}
