//! Every duration, in one place, so that `TIME_SCALE` can divide them all.

use crate::Ms;

const SECOND: Ms = 1000;
const MINUTE: Ms = 60 * SECOND;
/// An hour.
pub const HOUR: Ms = 60 * MINUTE;
/// A day.
pub const DAY: Ms = 24 * HOUR;

macro_rules! durations {
    ($($(#[doc = $doc:literal])* $name:ident = $usual:expr,)*) => {
        /// The durations, in milliseconds. [`Timing::default`] has the usual ones.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Timing {
            /// Waits after the first, second, … failed push; the last one repeats.
            pub retry_steps: [Ms; 5],
            $($(#[doc = $doc])* pub $name: Ms,)*
        }

        impl Timing {
            /// Every duration divided by `scale` (at least 1), and none below 1 ms.
            ///
            /// Network timeouts are not scaled below 1 s.
            #[must_use]
            pub fn scaled(scale: u32) -> Self {
                let by = |ms: Ms| (ms / Ms::from(scale.max(1))).max(1);
                let mut timing = Self { retry_steps: RETRY_STEPS.map(by), $($name: by($usual)),* };
                timing.push_timeout = timing.push_timeout.max(SECOND);
                timing.push_body = timing.push_body.max(SECOND);
                timing
            }
        }
    };
}

const RETRY_STEPS: [Ms; 5] = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR];

durations! {
    /// The longest `Retry-After` that is obeyed.
    retry_after_max = HOUR,
    /// One second, the unit of `Retry-After` and `ttl_seconds`.
    second = SECOND,
    /// How long an endpoint may take to answer.
    push_timeout = 15 * SECOND,
    /// How long the body of a 2xx answer may take, after its head.
    push_body = 2 * SECOND,
    /// How long a stream's client may take to answer for a message.
    stream_answer = 30 * SECOND,
    /// How often an open stream's token is checked.
    stream_check = MINUTE,
    /// How soon an alarm repeats a push if the object dies.
    push_guard = 5 * SECOND,
    /// How long a replaced secret goes on signing.
    secret_overlap = DAY,
    /// How long acknowledged messages are kept.
    keep_acked = DAY,
    /// How long delivered and failed messages are kept.
    keep_ended = 7 * DAY,
    /// How long idempotency keys are kept.
    keep_keys = 8 * DAY,
    /// How often old rows are deleted.
    purge_every = HOUR,
    /// Unseen for this long, an agent counts as stopped.
    unseen = 180 * SECOND,
    /// `last_seen` and `last_used_at` are written this often at most.
    seen_grain = MINUTE,
    /// The window of `max_spawns_per_minute`.
    spawn_window = MINUTE,
    /// How long a started worker whose lease has ended may come back.
    lost_runner = HOUR,
    /// Age after which the last claim is no longer shown.
    runner_seen = DAY,
    /// How long finished requests for workers are kept.
    keep_spawns = 30 * DAY,
    /// How long the audit log is kept.
    keep_audit = 90 * DAY,
    /// The wait before a notice or report that failed is tried again.
    outbox_retry = 5 * SECOND,
}

impl Default for Timing {
    fn default() -> Self {
        Self::scaled(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_becomes_seconds_under_a_scale_and_no_timeout_too_short() {
        assert_eq!(Timing::scaled(0), Timing::default());
        assert_eq!((Timing::default().keep_acked, Timing::default().push_timeout), (DAY, 15_000));
        let timing = Timing::scaled(10_000);
        assert_eq!((timing.keep_acked, timing.second, timing.push_timeout), (8640, 1, 1000));
    }
}
