//! When an endpoint that failed is tried again: after 5 s, 30 s, 2 min, 10 min, 1 h, then
//! every hour, each ±20 %. A `Retry-After` is obeyed instead, between the first step and
//! an hour.
//!
//! The step belongs to the endpoint, not to the message: ten messages for a dead endpoint
//! cost one attempt, not ten.

use crate::{Ms, timing::Timing};

/// How long to wait after the failure that ended step `step` (0 is the first).
///
/// `jitter` is a random number in `0.0..=1.0`; 0.5 is the middle.
/// `retry_after_secs` is what the endpoint asked for.
pub fn delay(step: u32, retry_after_secs: Option<i64>, jitter: f64, timing: &Timing) -> Ms {
    if let Some(secs) = retry_after_secs {
        let [least, ..] = timing.retry_steps;
        return secs.saturating_mul(timing.second).clamp(least, timing.retry_after_max);
    }
    let [.., last] = timing.retry_steps;
    let base = timing.retry_steps.get(step as usize).copied().unwrap_or(last);
    let factor = 0.8 + 0.4 * jitter.clamp(0.0, 1.0);
    (base as f64 * factor).round() as Ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_steps_are_those_of_the_design_and_the_last_repeats() {
        let steps: Vec<_> =
            (0..8).map(|step| delay(step, None, 0.5, &Timing::default()) / 1000).collect();
        assert_eq!(steps, [5, 30, 120, 600, 3600, 3600, 3600, 3600]);
    }

    #[test]
    fn retry_after_is_obeyed_between_the_first_step_and_an_hour() {
        let ask = |secs| delay(3, Some(secs), 0.0, &Timing::default()) / 1000;
        for (secs, wanted) in [(90, 90), (3600, 3600), (99_999, 3600), (i64::MAX, 3600)] {
            assert_eq!(ask(secs), wanted, "{secs}");
        }
        for short in [i64::MIN, -1, 0, 1, 4] {
            assert_eq!(ask(short), 5, "{short}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_brings_a_push_sooner_than_the_first_step(
            step in 0_u32..20, asked in any::<Option<i64>>(), jitter in 0.0_f64..=1.0, scale in 1_u32..5000,
        ) {
            let timing = Timing::scaled(scale);
            let least = if asked.is_some() { timing.retry_steps[0] } else { delay(0, None, 0.0, &timing) };
            prop_assert!((least..=timing.retry_steps[4] * 6 / 5 + 1).contains(&delay(step, asked, jitter, &timing)));
        }

        #[test]
        fn jitter_stays_within_a_fifth(step in 0_u32..20, jitter in 0.0_f64..=1.0) {
            let timing = Timing::default();
            let middle = delay(step, None, 0.5, &timing) as f64;
            let found = delay(step, None, jitter, &timing) as f64;
            prop_assert!((found - middle).abs() <= middle * 0.2 + 1.0);
        }
    }
}
