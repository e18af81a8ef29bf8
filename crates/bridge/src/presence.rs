//! Is an agent at work, stopped, or gone for good? Pure.

use crate::multiclaude::{LocalAgent, LocalRepo};
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use std::time::Duration;

/// Output that is not older makes an agent active.
const ACTIVE: Duration = Duration::from_mins(5);

/// The times that a bridge goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats.
    pub minute: Duration,
    /// How long a readable state must lack an agent before it is deregistered.
    pub absent: Duration,
    /// How long the agents of a lost tmux session stay registered.
    pub lost: Duration,
    /// How long the link of an agent that has left stays.
    pub link: Duration,
}

impl Timing {
    /// The usual times, divided by `scale`: tests see days pass in seconds.
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

/// What is known of a registered agent whose repo the state still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// The state has it.
    Here,
    /// The state has lacked it for so long.
    Gone {
        /// For so long.
        since: Duration,
        /// The tmux session was lost, and the agent with it: it may come back.
        session_lost: bool,
    },
    /// The state is missing or unreadable, or lacks the repo.
    Unknown,
}

/// What follows for a registered agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is registered, with a status of its own.
    Present,
    /// It is registered as stopped.
    Stopped,
    /// It has ended: send what it wrote, then deregister it.
    Deregister,
}

/// What follows from an absence (`machines.md`, *The bridge*).
pub fn verdict(absence: Absence, timing: &Timing) -> Verdict {
    match absence {
        Absence::Here => Verdict::Present,
        Absence::Gone { since, session_lost }
            if since >= if session_lost { timing.lost } else { timing.absent } =>
        {
            Verdict::Deregister
        }
        Absence::Gone { .. } | Absence::Unknown => Verdict::Stopped,
    }
}

/// The status of an agent that the state has; `activity_secs` is the last output
/// of its claude, if one runs.
pub fn status(daemon_is_up: bool, activity_secs: Option<i64>, now_secs: i64) -> AgentStatus {
    match activity_secs {
        _ if !daemon_is_up => AgentStatus::Stopped,
        None => AgentStatus::Stopped,
        Some(at) if now_secs.saturating_sub(at) <= ACTIVE.as_secs() as i64 => AgentStatus::Active,
        Some(_) => AgentStatus::Idle,
    }
}

/// Do agents of this type end with their task, so that a later one of the same
/// name is another agent?
pub fn is_ephemeral(kind: &str) -> bool {
    matches!(kind, "worker" | "review")
}

/// Is `agent` another one than the agent of the same name that was created at
/// `created_at`?
pub fn is_successor(agent: &LocalAgent, created_at: &str) -> bool {
    is_ephemeral(&agent.r#type) && !created_at.is_empty() && agent.created_at != created_at
}

/// Did this worker end in the usual way?
pub fn has_ended(repo: &LocalRepo, name: &str, created_at: &str) -> bool {
    repo.task_history.iter().any(|ended| ended.name == name && ended.created_at == created_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_readable_state_that_lacks_an_agent_for_a_minute_ends_it() {
        let usual = Timing::scaled(1);
        let gone = |secs, session_lost| {
            verdict(Absence::Gone { since: Duration::from_secs(secs), session_lost }, &usual)
        };
        assert_eq!(verdict(Absence::Here, &usual), Verdict::Present);
        assert_eq!(verdict(Absence::Unknown, &usual), Verdict::Stopped);
        assert_eq!(gone(59, false), Verdict::Stopped);
        assert_eq!(gone(60, false), Verdict::Deregister);
        assert_eq!(gone(23 * 3600, true), Verdict::Stopped);
        assert_eq!(gone(24 * 3600, true), Verdict::Deregister);
    }

    #[test]
    fn a_status_follows_the_daemon_the_claude_and_its_output() {
        assert_eq!(status(false, Some(1000), 1000), AgentStatus::Stopped);
        assert_eq!(status(true, None, 1000), AgentStatus::Stopped);
        assert_eq!(status(true, Some(700), 1000), AgentStatus::Active);
        assert_eq!(status(true, Some(699), 1000), AgentStatus::Idle);
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
