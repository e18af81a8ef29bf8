//! Pushing: at most one in flight, always the oldest pending message.

use super::queue::Pending;
use super::standing::{Standing, transition};
use super::state::Mailbox;
use super::transit::Push;
use super::write::Write;
use crate::outcome::{ErrorClass, Outcome};
use crate::registry::Version;
use crate::{Ms, retry};
use multiclaude_hybrid_protocol::message::Report;

/// The consequences of a push that ended.
#[derive(Debug, Default, PartialEq)]
pub struct Finished {
    /// To be stored now. The mark of a success is not included: it is written later, see
    /// [`Mailbox::take_marks`].
    pub writes: Vec<Write>,
    /// The message was refused for good and must fail.
    pub rejected: Option<u64>,
}

impl Mailbox {
    /// Could a push go out now?
    pub fn can_push(&self, now: Ms) -> bool {
        self.next_push(now).is_some()
    }

    fn next_push(&self, now: Ms) -> Option<(Version, u64, Pending)> {
        // An open stream takes the place of pushes.
        if self.in_flight.is_some() || self.stream.is_some() {
            return None;
        }
        let config = self.current()?;
        let endpoint = config.endpoint.as_ref().filter(|endpoint| !endpoint.gone)?;
        if endpoint.next_at.is_some_and(|at| at > now) {
            return None;
        }
        // An expired message must fail first; overtaking it would break FIFO if the clock
        // went back.
        let (seq, pending) = self.pending.first().filter(|(_, first)| first.expires_at > now)?;
        Some((config.version, seq, pending))
    }

    /// Begins the next push, if one may go out now.
    pub fn begin_push(&mut self, now: Ms) -> Option<Push> {
        let (version, seq, pending) = self.next_push(now)?;
        self.pushes += 1;
        let push = Push { seq, attempt: pending.attempts + 1, version, number: self.pushes };
        self.in_flight = Some(push.clone());
        Some(push)
    }

    /// The push was not sent.
    pub fn abandon_push(&mut self, push: &Push) {
        if self.in_flight.as_ref() == Some(push) {
            self.in_flight = None;
        }
    }

    /// The push ended with `outcome`. `jitter` is random, `0.0..=1.0`.
    pub fn finish_push(&mut self, push: &Push, outcome: Outcome, jitter: f64, now: Ms) -> Finished {
        if self.in_flight.as_ref() != Some(push) {
            return Finished::default();
        }
        self.in_flight = None;
        let mut finished = Finished::default();
        if let Outcome::Delivered { report, .. } = outcome {
            self.mark_pushed(push, report, now);
        } else if let Some(class) = outcome.error() {
            finished = self.count_failure(push, outcome, class);
        }
        finished.writes.extend(self.endpoint_after(push, outcome, jitter, now));
        finished
    }

    /// The recipient has it, even if it was deregistered in the meantime. If a report has
    /// delivered it in the meantime, an answer of *acked* or *seen* still counts.
    fn mark_pushed(&mut self, push: &Push, report: Report, now: Ms) {
        let was_pending = self.pending.remove(push.seq).is_some() | self.drop_orphan(push.seq);
        if let Ok(Some(next)) = transition(Standing::PENDING, report)
            && (was_pending || next != Standing::DELIVERED)
        {
            let mark = self.advance(push.seq, next, None, Some(push.attempt), now);
            self.marks.push(mark);
        }
    }

    fn count_failure(&mut self, push: &Push, outcome: Outcome, class: ErrorClass) -> Finished {
        // The answer of an endpoint that was replaced in the meantime does not count.
        let current = self.current().is_some_and(|config| config.version == push.version);
        let Some(attempts) = self.pending.count_attempt(push.seq) else {
            return Finished::default();
        };
        Finished {
            writes: vec![Write::Attempt { seq: push.seq, attempts, error: class.to_string() }],
            rejected: (current && matches!(outcome, Outcome::Rejected(_))).then_some(push.seq),
        }
    }

    /// The endpoint's state after an answer to a push under its configuration.
    fn endpoint_after(
        &mut self,
        push: &Push,
        outcome: Outcome,
        jitter: f64,
        now: Ms,
    ) -> Vec<Write> {
        let Some(mut config) =
            self.current().filter(|config| config.version == push.version).cloned()
        else {
            return Vec::new();
        };
        let Some(endpoint) = &mut config.endpoint else {
            return Vec::new();
        };
        match outcome {
            Outcome::Delivered { .. } | Outcome::Rejected(_) => endpoint.reset(),
            Outcome::Gone(_) => endpoint.gone = true,
            Outcome::Retry { class, retry_after_secs } => {
                let wait = retry::delay(endpoint.step, retry_after_secs, jitter, &self.timing);
                endpoint.step += 1;
                endpoint.next_at = Some(now + wait);
                endpoint.last_error = Some(class);
            }
        }
        self.put_config(config)
    }

    /// A successful `endpoint/test` under `version` resets failures, a 410 included; the
    /// next push is due at once.
    pub fn endpoint_works(&mut self, version: Version) -> Vec<Write> {
        let Some(mut config) = self.current().filter(|config| config.version == version).cloned()
        else {
            return Vec::new();
        };
        if let Some(endpoint) = &mut config.endpoint {
            endpoint.reset();
        }
        self.put_config(config)
    }

    /// When a pending message needs the object awake: at the retry, or, if it is pushed
    /// now, a little later, in case the object dies.
    pub(super) fn push_guard(&self, now: Ms) -> Option<Ms> {
        if self.stream.is_some() {
            return self.stream_guard(now);
        }
        let endpoint = self.current()?.endpoint.as_ref().filter(|endpoint| !endpoint.gone)?;
        self.pending.first_seq()?;
        let retry = endpoint.next_at.filter(|at| *at > now && self.in_flight.is_none());
        Some(retry.unwrap_or(now + self.timing.push_guard))
    }
}
