//! Signs of life of the agent's holder: a poll, a report, a stream that opens, answers
//! or ends. They are reported to the registry at most once in `seen_grain`, and not at
//! all while it shows an open stream.
//!
//! They are kept in memory only. What is lost with it is less than `seen_grain` old, or
//! has been reported.

use super::Mailbox;
use crate::Ms;

/// When the holder was there.
#[derive(Debug, Default)]
pub(super) struct Signs {
    last: Option<Ms>,
    reported: Option<Ms>,
}

impl Mailbox {
    /// The holder has polled, reported, or used its stream. What others do who may read
    /// the mailbox, such as a service token, is no sign of it.
    pub fn note_sign(&mut self, now: Ms) {
        self.signs.last = self.signs.last.max(Some(now));
    }

    /// The holder's last sign of life that this memory knows.
    pub fn last_sign(&self) -> Option<Ms> {
        self.signs.last
    }

    /// Is the holder there: has it an open stream, or given a sign of life within
    /// `unseen`? Then the name cannot be taken over.
    pub fn is_held(&self, now: Ms) -> bool {
        let recent = |at: Ms| now.saturating_sub(at) < self.timing.unseen;
        self.open().is_some() && (self.stream.is_some() || self.signs.last.is_some_and(recent))
    }

    /// The sign of life to report to the registry now.
    pub fn unreported_sign(&self, now: Ms) -> Option<Ms> {
        self.open().filter(|_| self.stream.is_none() && self.report_held_until <= now)?;
        let last = self.signs.last?;
        let due = self.signs.reported.is_none_or(|at| last - at >= self.timing.seen_grain);
        due.then_some(last)
    }

    /// The registry knows that the holder was there at `sign`.
    pub fn sign_reported(&mut self, sign: Ms) {
        self.signs.reported = self.signs.reported.max(Some(sign));
    }

    pub(super) fn forget_signs(&mut self) {
        self.signs = Signs::default();
    }
}
