//! Every duration of the design, in one place, so that `TIME_SCALE` can
//! divide them all.

use crate::Ms;

const SECOND: Ms = 1000;
const MINUTE: Ms = 60 * SECOND;
const HOUR: Ms = 60 * MINUTE;
const DAY: Ms = 24 * HOUR;

/// The durations, in milliseconds. [`Timing::default`] is the design's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Waits after the first, second, … failed push; the last one repeats.
    pub retry_steps: [Ms; 5],
    /// The longest `Retry-After` that is obeyed.
    pub retry_after_max: Ms,
    /// One second, the unit of `Retry-After` and `ttl_seconds`.
    pub second: Ms,
    /// How long an endpoint may take to answer.
    pub push_timeout: Ms,
    /// How long the body of a 2xx answer may take, after its head.
    pub push_body: Ms,
    /// How long a stream's client may take to answer for a message.
    pub stream_answer: Ms,
    /// How often an open stream's token is checked.
    pub stream_check: Ms,
    /// How soon an alarm repeats a push if the object dies.
    pub push_guard: Ms,
    /// How long a replaced secret goes on signing.
    pub secret_overlap: Ms,
    /// How long acknowledged messages are kept.
    pub keep_acked: Ms,
    /// How long delivered and failed messages are kept.
    pub keep_ended: Ms,
    /// How long idempotency keys are kept.
    pub keep_keys: Ms,
    /// How often old rows are deleted.
    pub purge_every: Ms,
    /// Unseen for this long, an agent counts as stopped.
    pub unseen: Ms,
    /// `last_seen` and `last_used_at` are written this often at most.
    pub seen_grain: Ms,
    /// The window of `max_spawns_per_minute`.
    pub spawn_window: Ms,
    /// How long a started worker whose lease has ended may come back.
    pub lost_runner: Ms,
    /// Age after which the last claim is no longer shown.
    pub runner_seen: Ms,
    /// How long finished requests for workers are kept.
    pub keep_spawns: Ms,
    /// How long the audit log is kept.
    pub keep_audit: Ms,
    /// The wait before a notice or report that failed is tried again.
    pub outbox_retry: Ms,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry_steps: [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR],
            retry_after_max: HOUR,
            second: SECOND,
            push_timeout: 15 * SECOND,
            push_body: 2 * SECOND,
            stream_answer: 30 * SECOND,
            stream_check: MINUTE,
            push_guard: 5 * SECOND,
            secret_overlap: DAY,
            keep_acked: DAY,
            keep_ended: 7 * DAY,
            keep_keys: 8 * DAY,
            purge_every: HOUR,
            unseen: 180 * SECOND,
            seen_grain: MINUTE,
            spawn_window: MINUTE,
            lost_runner: HOUR,
            runner_seen: DAY,
            keep_spawns: 30 * DAY,
            keep_audit: 90 * DAY,
            outbox_retry: 5 * SECOND,
        }
    }
}

impl Timing {
    /// Every duration divided by `scale` (at least 1), and none below 1 ms.
    ///
    /// Network timeouts are not scaled below 250 ms.
    #[must_use]
    pub fn scaled(scale: u32) -> Self {
        let by = |ms: Ms| (ms / Ms::from(scale.max(1))).max(1);
        let full = Self::default();
        Self {
            retry_steps: full.retry_steps.map(by),
            retry_after_max: by(full.retry_after_max),
            second: by(full.second),
            push_timeout: by(full.push_timeout).max(SECOND / 4),
            push_body: by(full.push_body).max(SECOND / 4),
            stream_answer: by(full.stream_answer),
            stream_check: by(full.stream_check),
            push_guard: by(full.push_guard),
            secret_overlap: by(full.secret_overlap),
            keep_acked: by(full.keep_acked),
            keep_ended: by(full.keep_ended),
            keep_keys: by(full.keep_keys),
            purge_every: by(full.purge_every),
            unseen: by(full.unseen),
            seen_grain: by(full.seen_grain),
            spawn_window: by(full.spawn_window),
            lost_runner: by(full.lost_runner),
            runner_seen: by(full.runner_seen),
            keep_spawns: by(full.keep_spawns),
            keep_audit: by(full.keep_audit),
            outbox_retry: by(full.outbox_retry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_of_one_is_the_design() {
        assert_eq!(Timing::scaled(1), Timing::default());
        assert_eq!(Timing::scaled(0), Timing::default());
    }

    #[test]
    fn a_day_becomes_seconds_under_a_scale() {
        let timing = Timing::scaled(10_000);
        assert_eq!(timing.keep_acked, 8640);
        assert_eq!(timing.second, 1);
    }
}
