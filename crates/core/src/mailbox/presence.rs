//! What the registry shows of the agent: how messages reach it, and when its holder was
//! there last.
//!
//! Signs of life are a poll, a report, a stream that opens, answers or ends. They are
//! reported at most once in `seen_grain`, and not at all while the registry shows an
//! open stream. They are kept in memory only: a sign that is lost with it is less than
//! `seen_grain` old, or was reported.

use super::config::{Config, Kind};
use super::state::{Mailbox, Signs};
use super::write::Write;
use crate::Ms;
use multiclaude_hybrid_protocol::agent::Delivery;

impl Mailbox {
    /// The delivery to report now, if the registry shows another one.
    pub fn unreported(&self, now: Ms) -> Option<(Delivery, Option<String>)> {
        // The registry shows agents only.
        let config = self.open().filter(|config| config.kind == Kind::Agent)?;
        if self.report_held_until > now {
            return None;
        }
        let delivery = match &self.stream {
            Some(_) => (Delivery::Stream, None),
            None => config.delivery(),
        };
        (config.reported != delivery).then_some(delivery)
    }

    /// A report failed: no other one before `outbox_retry` from now.
    pub fn report_failed(&mut self, now: Ms) {
        self.report_held_until = now + self.timing.outbox_retry;
    }

    /// When the next report is due, if there is one.
    pub(super) fn report_due(&self, now: Ms) -> Option<Ms> {
        let at = self.report_held_until.max(now);
        self.unreported(at).map(|_| at)
    }

    /// The registry shows `delivery` for this incarnation.
    pub fn reported(&mut self, delivery: (Delivery, Option<String>)) -> Vec<Write> {
        match self.open().cloned() {
            Some(config) => self.put_config(Config { reported: delivery, ..config }),
            None => Vec::new(),
        }
    }

    /// The holder has polled, reported, or used its stream. Others who may read the
    /// mailbox, such as a service token, give no sign.
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
