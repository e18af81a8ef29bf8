//! Waiting through outages of the coordinator, for as long as the user wants.

use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::session::Session;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The time of the last look beyond the limit.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The limit of a command that waits, and the state of the coordinator.
#[derive(Debug)]
pub struct Waiting {
    limit: Option<(Duration, Instant)>,
    /// Prints when the coordinator goes away and comes back.
    warnings: Option<Output>,
    answered: bool,
    away: Option<Away>,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    failure: Failure,
}

impl Waiting {
    /// Waits for as long as `limit`, for ever without one.
    pub fn new(limit: Option<Duration>) -> Self {
        let until = |limit| Some((limit, Instant::now().checked_add(limit)?));
        Self { limit: limit.and_then(until), warnings: None, answered: false, away: None }
    }

    /// Waits for as long as `--timeout` says, if it was given, and warns of outages.
    pub fn with_warnings(session: &Session) -> Self {
        Self { warnings: Some(session.out), ..Self::new(session.limit) }
    }

    #[must_use]
    pub fn answered(mut self) -> Self {
        self.answered = true;
        self
    }

    /// One look: what came of it, or nothing while the coordinator is away.
    pub async fn look<T, E: Into<Failure>>(
        &mut self,
        look: impl Future<Output = Result<T, E>>,
    ) -> Outcome<Option<T>> {
        let looked = match self.limit {
            Some((_, until)) => timeout_at(until + LAST_LOOK, look).await.ok(),
            None => Some(look.await),
        };
        match looked.map(|looked| looked.map_err(Into::into)) {
            Some(Ok(found)) => {
                self.came_back();
                return Ok(Some(found));
            }
            Some(Err(failure)) if failure.again.is_some() => self.went_away(failure),
            Some(Err(failure)) => return Err(failure),
            None => {}
        }
        self.check().map(|()| None)
    }

    /// Runs `work`, which waits on its own, until the time is over.
    pub async fn within<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        match self.limit {
            Some((_, until)) => timeout_at(until, work).await.unwrap_or_else(|_| Err(self.over())),
            None => work.await,
        }
    }

    /// How long to wait before the next look: `usual`, or longer if the coordinator
    /// asks for that, but not beyond the end of the time.
    pub fn pause(&self, usual: Duration) -> Duration {
        let asked = self.away.as_ref().and_then(|away| away.failure.again);
        let pause = usual.max(asked.unwrap_or_default());
        match self.limit {
            Some((_, until)) => pause.min(until.saturating_duration_since(Instant::now())),
            None => pause,
        }
    }

    /// An error when the time is over.
    pub fn check(&self) -> Outcome {
        match self.limit {
            Some((_, until)) if until <= Instant::now() => Err(self.over()),
            _ => Ok(()),
        }
    }

    /// The trouble with the coordinator, if there is one.
    pub fn trouble(&self) -> Option<String> {
        let away = self.away.as_ref()?;
        Some(format!("waiting for the coordinator: {}", away.failure.message))
    }

    /// The time is over: a coordinator that never answered is the reason.
    fn over(&self) -> Failure {
        if let Some(away) = self.away.as_ref().filter(|_| !self.answered) {
            return away.failure.clone();
        }
        let limit = self.limit.map_or(0, |(limit, _)| limit.as_secs());
        let exit = if self.answered { Exit::TimedOut } else { Exit::Unreachable };
        Failure::new(match self.trouble() {
            Some(trouble) => format!("the time to wait ({limit} s) is over, while {trouble}"),
            None if self.answered => format!("the time to wait ({limit} s) is over"),
            None => format!("the coordinator did not answer in {limit} s"),
        })
        .exit(exit)
    }

    fn went_away(&mut self, failure: Failure) {
        if let (None, Some(out)) = (&self.away, self.warnings) {
            out.warn(&format!("{}; waiting for it", failure.message));
        }
        let since = self.away.as_ref().map_or_else(Instant::now, |away| away.since);
        self.away = Some(Away { since, failure });
    }

    fn came_back(&mut self) {
        self.answered = true;
        if let (Some(away), Some(out)) = (self.away.take(), self.warnings) {
            let secs = away.since.elapsed().as_secs();
            out.warn(&format!("the coordinator is back after {secs} s"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// The result of a call while the coordinator is away.
    fn away(again: Duration) -> Result<(), Failure> {
        Err(Failure { again: Some(again), ..Failure::new("away").exit(Exit::Unreachable) })
    }

    #[tokio::test]
    async fn an_outage_is_waited_out_and_a_refusal_ends_the_waiting() {
        let mut waiting = Waiting::new(None);
        assert_eq!(waiting.look(async { away(Duration::ZERO) }).await.unwrap(), None);
        assert!(waiting.trouble().unwrap().contains("away"));
        let found = waiting.look(async { Ok::<_, Failure>(7) }).await;
        assert_eq!((found.unwrap(), waiting.trouble()), (Some(7), None));
        let refused = Failure::new("no").exit(Exit::Forbidden);
        let refused = waiting.look(async { Err::<(), _>(refused) }).await;
        assert_eq!(refused.unwrap_err().exit, Exit::Forbidden);
    }

    #[tokio::test]
    async fn the_end_of_the_time_is_124_once_the_coordinator_has_answered_and_8_before() {
        for (answers, exit) in [(false, Exit::Unreachable), (true, Exit::TimedOut)] {
            let limit = Duration::from_millis(100);
            let mut waiting = Waiting::new(Some(limit));
            if answers {
                waiting.look(async { Ok::<_, Failure>(()) }).await.unwrap();
            }
            let began = Instant::now();
            let failure = loop {
                match waiting.look(async { away(Duration::ZERO) }).await {
                    Ok(_) => tokio::time::sleep(waiting.pause(Duration::from_hours(1))).await,
                    Err(failure) => break failure,
                }
            };
            assert_eq!(failure.exit, exit);
            assert!(began.elapsed() >= limit);
        }
    }

    #[tokio::test]
    async fn a_call_that_hangs_ends_soon_after_the_time() {
        let limit = Some(Duration::from_millis(100));
        let mut waiting = Waiting::new(limit);
        let hangs = std::future::pending::<Result<Infallible, Failure>>();
        let failure = waiting.look(hangs).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        let waiting = Waiting::new(limit).answered();
        let failure = waiting.within(std::future::pending::<Outcome>()).await.unwrap_err();
        assert_eq!(failure.exit, Exit::TimedOut);
    }

    #[tokio::test]
    async fn the_coordinator_may_ask_for_a_longer_pause_within_the_time() {
        let usual = Duration::from_secs(1);
        let hour = Duration::from_hours(1);
        for (limit, most) in [(None, 2 * hour), (Some(hour), hour)] {
            let mut waiting = Waiting::new(limit);
            assert_eq!(waiting.pause(usual), usual);
            waiting.look(async { away(2 * hour) }).await.unwrap();
            let pause = waiting.pause(usual);
            assert!(pause > usual && pause <= most, "{pause:?}");
        }
    }
}
