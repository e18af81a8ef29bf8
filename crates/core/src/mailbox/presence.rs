//! Reports to the registry: the channel by which messages reach the agent (`delivery` on the
//! wire), and when its holder was last present.
//!
//! A poll, a report, and a stream that opens, answers or ends show that the holder is
//! present. The last time is reported at most once in `seen_grain`, and not at all while
//! the registry shows an open stream. It is kept in memory only: a time that is lost is
//! less than `seen_grain` old, or was reported.

use super::config::{Config, Kind};
use super::state::Mailbox;
use super::write::Write;
use crate::Ms;
use multiclaude_hybrid_protocol::agent::Delivery;

impl Mailbox {
    /// The delivery to report now, if the registry shows another one.
    pub fn unreported_channel(&self, now: Ms) -> Option<(Delivery, Option<String>)> {
        // The registry shows agents only.
        let config = self.current().filter(|config| config.kind == Kind::Agent)?;
        if self.report_held_until > now {
            return None;
        }
        let delivery = match &self.stream {
            Some(_) => (Delivery::Stream, None),
            None => config.delivery(),
        };
        (config.reported != delivery).then_some(delivery)
    }

    /// A report failed: try again after `outbox_retry`.
    pub fn report_failed(&mut self, now: Ms) {
        self.report_held_until = now + self.timing.outbox_retry;
    }

    /// The registry shows `delivery` for this incarnation.
    pub fn channel_reported(&mut self, delivery: (Delivery, Option<String>)) -> Vec<Write> {
        match self.current().cloned() {
            Some(config) => self.put_config(Config { reported: delivery, ..config }),
            None => Vec::new(),
        }
    }

    /// The holder has polled, reported, or used its stream. Calls by others who may read
    /// the mailbox, such as a service token, do not count.
    pub fn note_presence(&mut self, now: Ms) {
        self.presence.last = self.presence.last.max(Some(now));
    }

    /// When the holder was last present, as far as this memory knows.
    pub fn last_presence(&self) -> Option<Ms> {
        self.presence.last
    }

    /// Does the holder have an open stream, or was it present within `unseen`? Then the name
    /// cannot be taken over.
    pub fn holder_is_present(&self, now: Ms) -> bool {
        let recent = |at: Ms| now.saturating_sub(at) < self.timing.unseen;
        self.current().is_some()
            && (self.stream.is_some() || self.presence.last.is_some_and(recent))
    }

    /// The time to report to the registry now.
    pub fn unreported_presence(&self, now: Ms) -> Option<Ms> {
        self.current().filter(|_| self.stream.is_none() && self.report_held_until <= now)?;
        let last = self.presence.last?;
        let due = self.presence.reported.is_none_or(|at| last - at >= self.timing.seen_grain);
        due.then_some(last)
    }

    /// The registry knows that the holder was present at `seen`.
    pub fn presence_reported(&mut self, seen: Ms) {
        self.presence.reported = self.presence.reported.max(Some(seen));
    }
}
