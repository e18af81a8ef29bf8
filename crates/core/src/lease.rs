//! Leases on requests for workers.
//!
//! A claim gives a lease; its token fences every later update. If the lease ends before
//! the worker has started, the request is pending again, until its claim number
//! [`CLAIMS_MAX`] fails it. Once a worker has started, no other runner gets the request
//! unless it was made with `retry`: its holder may come back for an hour, and then it
//! fails. The holder may also give it back at once, as if it had never been claimed, if
//! the end of the lease would return it.
//!
//! [`expire`] is the rule; the store executes it as one SQL statement, so that concurrent
//! claims agree. A test of the store compares the two.

use crate::{Ms, timing::Timing};
use multiclaude_hybrid_protocol::SpawnId;
use multiclaude_hybrid_protocol::spawn::{REASON_CANCELLED, SpawnStatus, WorkerUpdate};
use std::fmt;

/// Claims whose lease may end before a worker has started; those that were given
/// back do not count.
pub const CLAIMS_MAX: u32 = 3;
/// Why a request fails after that many claims.
pub const REASON_NEVER_STARTED: &str = "never_started";
/// Why a request fails if its runner never comes back.
pub const REASON_RUNNER_LOST: &str = "runner_lost";

/// The id under which a request is pushed. After a claim it is pushed under another id,
/// so that the push does not look like a repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushId {
    /// The request.
    pub request: SpawnId,
    /// How often it was claimed before.
    pub claims: u32,
}

impl PushId {
    /// Reads `spn_…` or `spn_…_<claims>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, claims) = match text.rsplit_once('_')? {
            ("spn", _) => (text, 0),
            (id, claims) => (id, claims.parse().ok()?),
        };
        SpawnId::parse(id).map(|request| Self { request, claims })
    }
}

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.claims {
            0 => write!(f, "{}", self.request),
            claims => write!(f, "{}_{claims}", self.request),
        }
    }
}

/// The fields of a request that its lease depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// How far it has come.
    pub status: SpawnStatus,
    /// Has its worker started?
    pub started: bool,
    /// Was it made with `retry`?
    pub retry: bool,
    /// How often it was claimed and not given back.
    pub claims: u32,
    /// When the lease ends.
    pub lease_expires_at: Option<Ms>,
    /// Was it asked to stop?
    pub cancelled: bool,
}

/// The effect of time on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing.
    Stands,
    /// It is pending again.
    Returns,
    /// It has failed for this reason.
    Fails(&'static str),
}

/// The effect of time on `held`.
pub fn expire(held: &Held, now: Ms, timing: &Timing) -> Expiry {
    let ended = held.lease_expires_at.filter(|ends| *ends <= now);
    let Some(ends) = ended.filter(|_| held.status == SpawnStatus::InProgress) else {
        return Expiry::Stands;
    };
    match (held.started, held.retry) {
        (false, _) | (true, true) if held.cancelled => Expiry::Fails(REASON_CANCELLED),
        (false, _) if held.claims >= CLAIMS_MAX => Expiry::Fails(REASON_NEVER_STARTED),
        (false, _) | (true, true) => Expiry::Returns,
        (true, false) if now >= ends + timing.lost_runner => Expiry::Fails(REASON_RUNNER_LOST),
        (true, false) => Expiry::Stands,
    }
}

/// When a runner last asked for work, if that was within a day.
pub fn runner_seen(at: Option<Ms>, now: Ms, timing: &Timing) -> Option<Ms> {
    at.filter(|at| now - at < timing.runner_seen)
}

/// A request after an update by the holder of its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// How far it has come now.
    pub status: SpawnStatus,
    /// When the lease ends now; none once it has ended.
    pub lease_expires_at: Option<Ms>,
}

/// Why an update is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The lease is lost.
    LeaseLost,
    /// A worker has started, so the request is not given back.
    Started,
}

/// Decides an update. `holds`: the token is that of the current lease.
///
/// A finished request accepts only a repeat of its end. A request that is given back
/// becomes `Pending`, or `Failed` for [`REASON_CANCELLED`].
pub fn update(
    held: &Held,
    holds: bool,
    update: &WorkerUpdate,
    now: Ms,
    timing: &Timing,
) -> Result<Updated, Refusal> {
    if !holds || held.status == SpawnStatus::Pending {
        return Err(Refusal::LeaseLost);
    }
    let ended = |status| Ok(Updated { status, lease_expires_at: None });
    if held.status != SpawnStatus::InProgress {
        let repeats = update.status == Some(held.status);
        return if repeats { ended(held.status) } else { Err(Refusal::LeaseLost) };
    }
    if expire(held, now, timing) != Expiry::Stands {
        return Err(Refusal::LeaseLost);
    }
    match update.status {
        Some(SpawnStatus::Pending) => {
            let started = held.started || update.worker_name.is_some();
            match (started && !held.retry, held.cancelled) {
                (true, _) => Err(Refusal::Started),
                (false, true) => ended(SpawnStatus::Failed),
                (false, false) => ended(SpawnStatus::Pending),
            }
        }
        Some(end @ (SpawnStatus::Completed | SpawnStatus::Failed)) => ended(end),
        Some(SpawnStatus::InProgress) | None => Ok(Updated {
            status: SpawnStatus::InProgress,
            lease_expires_at: Some(now + update.lease_secs.saturating_mul(timing.second)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_protocol::AgentName;

    const HOUR: Ms = 3_600_000;

    #[test]
    fn a_push_id_is_read_as_it_was_written() {
        let request = SpawnId::new(multiclaude_hybrid_protocol::Timestamp(5), [7; 10]);
        for claims in [0, 1, 12] {
            let id = PushId { request: request.clone(), claims };
            assert_eq!(PushId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(PushId { request: request.clone(), claims: 0 }.to_string(), request.as_str());
        for bad in ["", "spn_", "spn_1", "msg_1_2", &format!("{request}_x")] {
            assert_eq!(PushId::parse(bad), None, "{bad}");
        }
    }

    fn held(started: bool, retry: bool, claims: u32) -> Held {
        Held {
            status: SpawnStatus::InProgress,
            started,
            retry,
            claims,
            lease_expires_at: Some(1000),
            cancelled: false,
        }
    }

    fn at(held: &Held, now: Ms) -> Expiry {
        expire(held, now, &Timing::default())
    }

    fn with_status(status: Option<SpawnStatus>) -> WorkerUpdate {
        WorkerUpdate { lease_secs: 60, status, ..WorkerUpdate::new("t") }
    }

    #[test]
    fn a_lease_that_ends_before_the_start_returns_the_request_twice_and_then_fails_it() {
        assert_eq!(at(&held(false, false, 1), 999), Expiry::Stands);
        assert_eq!(at(&held(false, false, 1), 1000), Expiry::Returns);
        assert_eq!(at(&held(false, true, 2), 1000), Expiry::Returns);
        assert_eq!(at(&held(false, false, 3), 1000), Expiry::Fails(REASON_NEVER_STARTED));
    }

    #[test]
    fn a_started_worker_is_given_to_nobody_else_unless_retry_was_asked_for() {
        assert_eq!(at(&held(true, false, 1), 1000), Expiry::Stands);
        assert_eq!(at(&held(true, false, 9), 999 + HOUR), Expiry::Stands);
        assert_eq!(at(&held(true, false, 1), 1000 + HOUR), Expiry::Fails(REASON_RUNNER_LOST));
        assert_eq!(at(&held(true, true, 9), 1000), Expiry::Returns);
    }

    #[test]
    fn a_request_to_be_cancelled_is_returned_to_nobody() {
        let cancelled = |started, retry| Held { cancelled: true, ..held(started, retry, 1) };
        let over = Expiry::Fails(REASON_CANCELLED);
        assert_eq!(at(&cancelled(false, false), 1000), over);
        assert_eq!(at(&cancelled(true, true), 1000), over);
        assert_eq!(at(&cancelled(true, true), 999), Expiry::Stands);
        // Its worker may still be at work, and may report.
        assert_eq!(at(&cancelled(true, false), 1000), Expiry::Stands);
    }

    #[test]
    fn a_runner_that_was_seen_more_than_a_day_ago_does_not_count() {
        let timing = Timing::default();
        assert_eq!(runner_seen(None, 5, &timing), None);
        assert_eq!(runner_seen(Some(5), 4 + 24 * HOUR, &timing), Some(5));
        assert_eq!(runner_seen(Some(5), 5 + 24 * HOUR, &timing), None);
    }

    #[test]
    fn a_late_renewal_works_within_the_hour_and_a_foreign_token_never() {
        let timing = Timing::default();
        let late = update(&held(true, false, 1), true, &with_status(None), 2000, &timing).unwrap();
        assert_eq!(late.lease_expires_at, Some(62_000));
        let lost = |held: &Held, holds, now| {
            assert_eq!(
                update(held, holds, &with_status(None), now, &timing),
                Err(Refusal::LeaseLost)
            );
        };
        lost(&held(true, false, 1), false, 0);
        lost(&held(false, false, 1), true, 1000);
        lost(&held(true, false, 1), true, 1000 + HOUR);
    }

    #[test]
    fn an_end_may_be_repeated_but_not_changed() {
        let ended = Held { status: SpawnStatus::Completed, ..held(true, false, 1) };
        let again = |status| update(&ended, true, &with_status(status), 5000, &Timing::default());
        assert!(again(Some(SpawnStatus::Completed)).is_ok());
        for other in [Some(SpawnStatus::Failed), Some(SpawnStatus::Pending), None] {
            assert_eq!(again(other), Err(Refusal::LeaseLost));
        }
    }

    fn give_back(held: &Held) -> Result<SpawnStatus, Refusal> {
        let back = with_status(Some(SpawnStatus::Pending));
        update(held, true, &back, 999, &Timing::default()).map(|updated| {
            assert_eq!(updated.lease_expires_at, None);
            updated.status
        })
    }

    #[test]
    fn a_holder_gives_back_a_request_that_has_not_started_or_was_made_with_retry() {
        for (started, retry, is) in [
            (false, false, Ok(SpawnStatus::Pending)),
            (false, true, Ok(SpawnStatus::Pending)),
            (true, true, Ok(SpawnStatus::Pending)),
            (true, false, Err(Refusal::Started)),
        ] {
            assert_eq!(give_back(&held(started, retry, 9)), is, "{started} {retry}");
        }
        let names_its_worker = WorkerUpdate {
            worker_name: AgentName::parse("w").ok(),
            ..with_status(Some(SpawnStatus::Pending))
        };
        let decided =
            update(&held(false, false, 1), true, &names_its_worker, 0, &Timing::default());
        assert_eq!(decided, Err(Refusal::Started));
    }

    #[test]
    fn a_request_that_is_given_back_and_was_to_be_cancelled_has_failed() {
        let cancelled = |started, retry| Held { cancelled: true, ..held(started, retry, 1) };
        assert_eq!(give_back(&cancelled(false, false)), Ok(SpawnStatus::Failed));
        assert_eq!(give_back(&cancelled(true, true)), Ok(SpawnStatus::Failed));
        assert_eq!(give_back(&cancelled(true, false)), Err(Refusal::Started));
    }

    #[test]
    fn a_repeated_return_and_one_after_the_lease_are_lost() {
        let timing = Timing::default();
        let back = with_status(Some(SpawnStatus::Pending));
        let pending = Held { status: SpawnStatus::Pending, ..held(false, false, 0) };
        for (held, now) in [(pending, 0), (held(false, false, 1), 1000)] {
            assert_eq!(update(&held, true, &back, now, &timing), Err(Refusal::LeaseLost));
        }
    }
}
