//! Writes the marks of deliveries: that a push succeeded, or that an offer was answered.
//!
//! A mark waits for the next command, or for 250 ms, so that a busy mailbox writes many in
//! one turn. If the object dies before, the message is sent again.

use crate::log;
use crate::mailbox::Refused;
use crate::mailbox::object::MailboxObject;
use multiclaude_hybrid_core::mailbox::Mailbox as Core;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

/// The longest wait of a mark.
const MARK_DELAY: Duration = Duration::from_millis(250);

impl MailboxObject {
    /// Writes the marks that wait.
    pub(in crate::mailbox) fn flush(&self) -> Result<(), Refused> {
        self.write(Core::take_marks)
    }

    /// After a delivery: writes its mark in 250 ms, unless a command or the timer of an
    /// earlier mark does it before.
    pub(in crate::mailbox) fn flush_soon(self: &Rc<Self>) {
        let has_marks = self.with(|core| core.has_marks()).unwrap_or_default();
        if self.flush_is_timed.get() || !has_marks {
            return;
        }
        self.flush_is_timed.set(true);
        let object = Rc::clone(self);
        self.state.wait_until(async move {
            Delay::from(MARK_DELAY).await;
            object.flush_is_timed.set(false);
            // The memory may have been discarded, and the marks with it.
            if object.is_loaded() {
                let flushed = object.flush();
                object.log_fault("flush", flushed);
                let rows = object.sql.take_rows();
                if rows > 0 {
                    log::worked(&object.name, "marks", rows);
                }
            }
        });
    }
}
