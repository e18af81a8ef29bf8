//! A request for a worker.

use crate::body::body;
use crate::body::text::LABEL;
use crate::metadata::Metadata;
use crate::text_form::text_form;
use crate::wire_enum::wire_enum;
use crate::{AgentName, Owner, Repo, SpawnId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes that a task may have.
pub const TASK_MAX: usize = 64 * 1024;
/// Bytes that a summary or a failure's reason may have.
pub const RESULT_MAX: usize = 16 * 1024;
/// The failure reason of a request that was cancelled while no worker was running.
pub const REASON_CANCELLED: &str = "cancelled";
/// A lease's length in seconds, unless asked otherwise.
pub const LEASE_DEFAULT_SECS: i64 = 900;
/// The shortest and the longest lease.
pub(crate) const LEASE_SECS: std::ops::RangeInclusive<i64> = 30..=3600;
/// The lowest and the highest priority.
const PRIORITY: std::ops::RangeInclusive<i64> = -1000..=1000;
/// Labels that a request may require, or a runner may have.
pub(super) const LABELS_MAX: usize = 16;

wire_enum!(
    /// How far a request has come.
    SpawnStatus {
        /// No runner has claimed it.
        Pending = "pending",
        /// A runner has claimed it.
        InProgress = "in_progress",
        /// Its worker has succeeded.
        Completed = "completed",
        /// It has failed; `failure_reason` says why.
        Failed = "failed",
    }
);

/// The requester of a worker, who is notified of its end.
#[derive(Debug, Clone, PartialEq, Eq, serde_with::SerializeDisplay)]
pub enum SpawnedBy {
    /// A registered agent.
    Agent(AgentName),
    /// `<type>:<owner>`: that owner's agent of the type; `user:<owner>` is a
    /// person, who gets no notice.
    Role(String, Owner),
}

impl SpawnedBy {
    /// Reads the wire form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((role, owner)) = text.split_once(':') else {
            return text.parse().map(Self::Agent);
        };
        let owner =
            Owner::parse(owner).map_err(|error| format!("the owner after {role}: {error}"))?;
        match LABEL.fault(role) {
            Some(fault) => Err(format!("the type before the colon {fault}")),
            None => Ok(Self::Role(role.to_owned(), owner)),
        }
    }
}

text_form! {
    SpawnedBy: SpawnedBy::parse;
}

impl fmt::Display for SpawnedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => write!(f, "{name}"),
            Self::Role(role, owner) => write!(f, "{role}:{owner}"),
        }
    }
}

/// A request for a worker.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SpawnRequest {
    /// Its id.
    pub id: SpawnId,
    /// `owner/repo`.
    pub repo: Repo,
    /// The worker's task.
    pub task: String,
    /// `workspace:dan`, `supervisor`, `user:dan`, …
    pub spawned_by: String,
    /// Higher is more urgent.
    pub priority: i64,
    /// How far it has come.
    pub status: SpawnStatus,
    /// May it be given to a second runner after a worker has started?
    #[serde(default)]
    pub retry: bool,
    /// Labels that the runner must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Flexible key-value pairs, for example `branch`.
    #[serde(default)]
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
    /// The registered agent, once the worker has started.
    pub worker_name: Option<AgentName>,
    /// The principal whose runner holds it.
    pub claimed_by: Option<Owner>,
    /// When the runner's lease ends.
    pub lease_expires_at: Option<Timestamp>,
    /// The lease has ended, and the worker had started: no other runner gets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lease_expired: bool,
    /// Its cancellation was requested.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    /// The progress of its worker, in one line from its runner.
    pub progress: Option<String>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The worker's summary.
    pub summary: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// When a runner last asked for work in this repo, to the minute; in the answer to
    /// `POST …/workers/spawn` only, and absent after a day.
    pub runner_seen_at: Option<Timestamp>,
    /// The lease, in the answer to the claim only.
    pub lease: Option<Lease>,
}

/// The right to run a request, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lease {
    /// Fences every later update; to be kept secret.
    pub token: String,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
}

body! {
    /// A request for a worker.
    pub struct NewSpawn {
        /// The worker's task, at most 65536 bytes of UTF-8; not only blanks.
        pub task: String = required(text().large(TASK_MAX).not_blank()),
        /// The requester, who is notified of the end: an agent that the caller may act for,
        /// `<type>:<owner>` or `user:<owner>`. Absent: the caller.
        pub spawned_by: Option<SpawnedBy> = optional_or_empty(parsed()),
        /// Higher is more urgent.
        pub priority: i64 = with_default(0, integer(PRIORITY)),
        /// May a second runner get it after a worker has started?
        pub retry: bool = flag(),
        /// Labels that the runner must have.
        pub labels: Vec<String> = with_default(Vec::new(), list(LABELS_MAX, word(LABEL))),
        /// Flexible key-value pairs, for example `branch`.
        pub metadata: Metadata = with_default(Metadata::new(), Pairs),
    }
    check = |spawn, _| Some(NewSpawn { labels: sorted(spawn.labels), ..spawn });
}

/// Each label once, in order.
pub(super) fn sorted(mut labels: Vec<String>) -> Vec<String> {
    labels.sort_unstable();
    labels.dedup();
    labels
}

impl NewSpawn {
    /// A request of the caller's own, with defaults for everything else.
    pub fn new(task: &str) -> Self {
        Self {
            task: task.to_owned(),
            spawned_by: None,
            priority: 0,
            retry: false,
            labels: Vec::new(),
            metadata: Metadata::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read;

    #[test]
    fn the_examples_of_the_requirements_are_read() {
        let dan = Owner::parse("dan").unwrap();
        assert_eq!(SpawnedBy::parse("workspace:dan"), Ok(SpawnedBy::Role("workspace".into(), dan)));
        let supervisor = AgentName::parse("supervisor").unwrap();
        assert_eq!(SpawnedBy::parse("supervisor"), Ok(SpawnedBy::Agent(supervisor)));
        for bad in [":dan", "workspace:", "a b:dan", "user:Dan", "system"] {
            assert!(SpawnedBy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_task_that_says_nothing_is_refused() {
        let of = |task: &str| read::<NewSpawn>(&serde_json::json!({"task": task}));
        for blank in ["", "   ", "\n\t\n", "\u{200b}", "\u{a0}\u{feff}", "\0", "\u{3164}"] {
            assert_eq!(of(blank), Err(vec!["task".to_owned()]), "{blank:?}");
        }
        assert_eq!(of(" fix it\n").unwrap().task, " fix it\n");
    }

    #[test]
    fn every_bad_field_of_a_request_is_named() {
        let bad = serde_json::json!({
            "spawned_by": "a.b", "priority": 1001, "retry": 1, "labels": ["a b"], "metadata": 1,
        });
        let wanted = ["task", "spawned_by", "priority", "retry", "labels.0", "metadata"];
        assert_eq!(read::<NewSpawn>(&bad).unwrap_err(), wanted);
    }
}
