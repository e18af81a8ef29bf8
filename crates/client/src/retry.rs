//! Whether a call is repeated, and after how long. Pure: time and jitter are arguments.

use crate::Error;
use std::time::Duration;

/// May a call be made twice?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// A read, an idempotent write, a POST under an idempotency key: repeat after any
    /// temporary failure.
    Always,
    /// Each call takes effect: repeat only if the first one was not sent, or was refused by a
    /// limit.
    IfNotDone,
    /// The caller wants the result of this one call.
    Never,
}

/// How often and how fast calls are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Calls in all, the first one included.
    pub attempts: u32,
    /// The wait before the second call; each later one is twice as long.
    pub first: Duration,
    /// The longest wait between two calls, unless the coordinator asks for more.
    pub longest: Duration,
}

impl Default for Retries {
    /// Four calls, with 0.2, 0.4 and 0.8 s between them, less some jitter.
    fn default() -> Self {
        Self { attempts: 4, first: Duration::from_millis(200), longest: Duration::from_secs(5) }
    }
}

impl Retries {
    /// The wait after call number `attempt` (from 1), with a random `jitter` from 0 to
    /// 1: between half and all of the step, so that clients that failed together do not
    /// retry together.
    pub fn wait(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let step = self.first.saturating_mul(doubled).min(self.longest);
        step.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// The wait after call number `attempt` (from 1), which ended with `error`; `None` if
    /// the call is not repeated. It is never less than the server asks for, and always
    /// less than `left`, the time that the caller still has.
    pub fn after(
        &self,
        error: &Error,
        repeat: Repeat,
        attempt: u32,
        left: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let may_repeat = match repeat {
            Repeat::Always => error.is_temporary(),
            Repeat::IfNotDone => {
                error.is_limit() || matches!(error, Error::Unreachable { unsent: true, .. })
            }
            Repeat::Never => false,
        };
        let wait = self.wait_after(error, attempt, jitter);
        (may_repeat && attempt < self.attempts && wait < left).then_some(wait)
    }

    /// The wait after failure number `attempt` (from 1), which was `error`: as
    /// [`Retries::wait`], and never less than the server asks for. For callers that
    /// repeat until they succeed.
    pub fn wait_after(&self, error: &Error, attempt: u32, jitter: f64) -> Duration {
        self.wait(attempt, jitter).max(error.retry_after().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;
    use multiclaude_hybrid_protocol::ErrorCode;
    use multiclaude_hybrid_protocol::error::Problem;
    use reqwest::StatusCode;

    const HOUR: Duration = Duration::from_hours(1);

    fn refusal(code: ErrorCode) -> Error {
        let problem = Box::new(Problem::new(code, "", "", vec![]));
        Error::Refused { problem, retry_after: None }
    }

    fn away(unsent: bool) -> Error {
        let (base, reason) = (String::new(), String::new());
        Error::Unreachable { base, cause: Cause::Other, reason, unsent }
    }

    /// A refusal, by the coordinator or by a proxy before it.
    fn refused(status: u16, text: &str, retry_after: Option<u64>) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Error::refused("", status, text, retry_after.map(Duration::from_secs))
    }

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_takes_at_most_half() {
        let retries = Retries::default();
        let most = |attempt| retries.wait(attempt, 1.0).as_millis();
        assert_eq!([most(1), most(2), most(3), most(9)], [200, 400, 800, 5000]);
        assert_eq!(retries.wait(1, 0.0).as_millis(), 100);
        assert_eq!(retries.wait(u32::MAX, 1.0).as_secs(), 5);
    }

    #[test]
    fn a_call_that_takes_effect_each_time_is_repeated_only_if_it_cannot_have_arrived() {
        let retries = Retries::default();
        let again = |error: &Error, repeat| retries.after(error, repeat, 1, HOUR, 1.0).is_some();
        assert!(again(&away(true), Repeat::IfNotDone));
        assert!(!again(&away(false), Repeat::IfNotDone));
        assert!(again(&away(false), Repeat::Always));
        let failed = refusal(ErrorCode::Unavailable);
        assert!(again(&failed, Repeat::Always) && !again(&failed, Repeat::IfNotDone));
        let limited = refusal(ErrorCode::MailboxFull);
        assert!(again(&limited, Repeat::IfNotDone));
        assert!(again(&refused(429, "slow down", None), Repeat::IfNotDone));
        for error in [away(true), failed, limited] {
            assert!(!again(&error, Repeat::Never), "{error}");
        }
    }

    #[test]
    fn a_refusal_is_final() {
        for code in
            [ErrorCode::Unauthenticated, ErrorCode::ValidationFailed, ErrorCode::AgentNotFound]
        {
            let again = Retries::default().after(&refusal(code), Repeat::Always, 1, HOUR, 1.0);
            assert_eq!(again, None, "{code:?}");
        }
    }

    #[test]
    fn the_wait_is_as_long_as_any_answer_asks_unless_the_caller_has_less_time() {
        let known =
            serde_json::to_string(refusal(ErrorCode::Unavailable).problem().unwrap()).unwrap();
        for (status, text) in [
            (429, known.as_str()),
            (500, &known),
            (503, &known),
            (429, "<html>"),
            (502, "<html>"),
            (503, ""),
            (408, "<html>"),
            (403, "<html>"),
        ] {
            let error = refused(status, text, Some(7));
            let after = |left| Retries::default().after(&error, Repeat::Always, 1, left, 1.0);
            assert_eq!(after(HOUR), Some(Duration::from_secs(7)), "{status} {text}");
            assert_eq!(after(Duration::from_secs(6)), None, "{status} {text}");
        }
    }

    #[test]
    fn an_answer_that_asks_for_less_than_the_usual_wait_changes_nothing() {
        for asked in [None, Some(0)] {
            let wait = Retries::default().wait_after(&refused(503, "", asked), 2, 1.0);
            assert_eq!(wait, Duration::from_millis(400));
        }
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let after =
            |attempt| Retries::default().after(&away(true), Repeat::Always, attempt, HOUR, 0.5);
        assert!(after(3).is_some() && after(4).is_none());
    }
}
