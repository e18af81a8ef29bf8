//! Whether an agent is at work, stopped, or has ended. Pure.

use crate::multiclaude::{LocalAgent, LocalRepo};
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An agent with output in this time is active.
const ACTIVE: Duration = Duration::from_mins(5);

/// The times that a bridge uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The wait between two heartbeats.
    pub minute: Duration,
    /// How long an agent must be missing in a readable state before it is deregistered.
    pub absent: Duration,
    /// How long the agents of a lost tmux session stay registered.
    pub lost: Duration,
    /// How long the link of a departed agent stays.
    pub link: Duration,
}

impl Timing {
    /// The usual times, divided by `scale`, which is above 1 in tests.
    pub fn scaled(scale: u32) -> Self {
        let scale = scale.max(1);
        Self {
            minute: Duration::from_mins(1) / scale,
            absent: Duration::from_mins(1) / scale,
            lost: Duration::from_hours(24) / scale,
            link: Duration::from_hours(24) / scale,
        }
    }
}

/// Has an agent ended that has been missing in a readable state, which still has its repo,
/// for this long? If its tmux session was lost, too, it may come back.
pub fn is_over(absent_for: Duration, session_lost: bool, timing: &Timing) -> bool {
    absent_for >= if session_lost { timing.lost } else { timing.absent }
}

/// Names whose links stay, with the time each was last registered on another machine, in
/// milliseconds since the epoch; and the names whose links are removed.
///
/// `known` are the names that have links, `others` those that are registered now. A time
/// is updated after a 24th of `link`, so that nothing is written while nothing changes.
pub fn links(
    mut known: BTreeMap<String, i64>,
    others: &BTreeSet<String>,
    now_ms: i64,
    timing: &Timing,
) -> (BTreeMap<String, i64>, BTreeSet<String>) {
    let kept_ms = timing.link.as_millis() as i64;
    for name in others {
        let at = known.entry(name.clone()).or_insert(now_ms);
        if now_ms - *at > kept_ms / 24 {
            *at = now_ms;
        }
    }
    let (kept, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
        known.into_iter().partition(|(name, at)| others.contains(name) || now_ms - at <= kept_ms);
    (kept, left.into_keys().collect())
}

/// The status of a local agent; `activity_secs` is the time of the last output of its
/// claude, if one runs.
pub fn status(daemon_is_up: bool, activity_secs: Option<i64>, now_secs: i64) -> AgentStatus {
    match activity_secs {
        _ if !daemon_is_up => AgentStatus::Stopped,
        None => AgentStatus::Stopped,
        Some(at) if now_secs.saturating_sub(at) <= ACTIVE.as_secs() as i64 => AgentStatus::Active,
        Some(_) => AgentStatus::Idle,
    }
}

/// Has an agent stopped or come back between two passes? That is reported at once, while
/// *active* and *idle* can wait for the next minute.
pub fn has_changed(
    before: &BTreeMap<String, AgentStatus>,
    now: &BTreeMap<String, AgentStatus>,
) -> bool {
    let is_stopped = |status: &AgentStatus| *status == AgentStatus::Stopped;
    now.iter().any(|(name, status)| {
        before.get(name).is_some_and(|before| is_stopped(before) != is_stopped(status))
    })
}

/// Do agents of this type end with their task? Then a later one of the same name is
/// another agent.
fn is_ephemeral(kind: &str) -> bool {
    matches!(kind, "worker" | "review")
}

/// Is `agent` a later one than the agent of the same name created at `created_at`?
pub fn is_successor(agent: &LocalAgent, created_at: &str) -> bool {
    is_ephemeral(&agent.r#type) && !created_at.is_empty() && agent.created_at != created_at
}

/// Is this worker in multiclaude's history, as one that ended normally?
pub fn has_ended(repo: &LocalRepo, name: &str, created_at: &str) -> bool {
    repo.task_history.iter().any(|ended| ended.name == name && ended.created_at == created_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_of_an_agent_that_left_stays_for_a_day() {
        const HOUR: i64 = 3_600_000;
        let timing = Timing::scaled(1);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let both: BTreeSet<String> = set(&["ann", "bob"]);
        let (known, left) = links(BTreeMap::new(), &both, 0, &timing);
        assert_eq!((known.len(), left.len()), (2, 0));
        // Ann stays registered, Bob leaves at once.
        let ann: BTreeSet<String> = set(&["ann"]);
        let (known, _) = links(known, &ann, HOUR / 2, &timing);
        assert_eq!(known["ann"], 0, "the time is updated less often");
        let (known, left) = links(known, &ann, 24 * HOUR, &timing);
        assert_eq!((known["ann"], left.len()), (24 * HOUR, 0));
        let (known, left) = links(known, &ann, 24 * HOUR + 1, &timing);
        assert_eq!((known.into_keys().collect::<BTreeSet<_>>(), left), (ann, set(&["bob"])));
    }

    #[test]
    fn an_agent_is_over_after_a_minute_and_after_a_day_if_its_session_was_lost() {
        let over = |secs, session_lost| {
            is_over(Duration::from_secs(secs), session_lost, &Timing::scaled(1))
        };
        assert!(!over(59, false) && over(60, false));
        assert!(!over(24 * 3600 - 1, true) && over(24 * 3600, true));
    }

    #[test]
    fn a_status_follows_the_daemon_the_claude_and_its_output() {
        assert_eq!(status(false, Some(1000), 1000), AgentStatus::Stopped);
        assert_eq!(status(true, None, 1000), AgentStatus::Stopped);
        assert_eq!(status(true, Some(700), 1000), AgentStatus::Active);
        assert_eq!(status(true, Some(699), 1000), AgentStatus::Idle);
    }

    #[test]
    fn an_agent_that_stops_or_comes_back_is_reported_at_once() {
        use AgentStatus::{Active, Idle, Stopped};
        let changed = |before, now| {
            let of = |status| BTreeMap::from([("fox".to_owned(), status)]);
            has_changed(&of(before), &of(now))
        };
        assert!(changed(Active, Stopped) && changed(Stopped, Idle));
        assert!(!changed(Active, Idle) && !changed(Stopped, Stopped));
        // A registration reports the first status.
        assert!(!has_changed(&BTreeMap::new(), &BTreeMap::from([("fox".to_owned(), Active)])));
    }

    #[test]
    fn a_worker_of_the_same_name_is_another_one_and_a_supervisor_is_not() {
        let made = |kind: &str| LocalAgent {
            r#type: kind.to_owned(),
            created_at: "2026-02-02T00:00:00Z".to_owned(),
            ..LocalAgent::default()
        };
        assert!(is_successor(&made("worker"), "2026-01-01T00:00:00Z"));
        assert!(!is_successor(&made("worker"), "2026-02-02T00:00:00Z"));
        assert!(!is_successor(&made("supervisor"), "2026-01-01T00:00:00Z"));
        assert!(!is_successor(&made("worker"), ""));
    }
}
