//! What a runner says: it claims, and it holds a lease.

use super::{LEASE_DEFAULT_SECS, LEASE_SECS, RESULT_MAX, SpawnStatus, labels, log};
use crate::AgentName;
use crate::error::FieldError;
use crate::fields::Fields;
use serde::Serialize;

/// `POST …/workers/claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// What the runner has.
    pub labels: Vec<String>,
    /// How long it wants the request for.
    #[serde(rename = "lease_seconds")]
    pub lease_secs: i64,
}

impl Default for Claim {
    fn default() -> Self {
        Self { labels: Vec::new(), lease_secs: LEASE_DEFAULT_SECS }
    }
}

impl Claim {
    /// Reads the body of `POST …/workers/claim`.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let labels = labels(&mut fields);
        let lease_secs = fields.integer("lease_seconds", LEASE_SECS).unwrap_or(LEASE_DEFAULT_SECS);
        fields.finish(Some(Self { labels, lease_secs }))
    }
}

/// `PATCH …/workers/{id}`, by the holder of the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerUpdate {
    /// The lease's token.
    pub lease_token: String,
    /// Renews for this long from now, in seconds.
    #[serde(rename = "lease_seconds")]
    pub lease_secs: i64,
    /// The registered agent, once the worker has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<AgentName>,
    /// `completed` or `failed`, when it has ended; `pending` gives the request
    /// back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<SpawnStatus>,
    /// What the worker has to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// How far the worker is, in one line; an empty one takes the last one away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The end of the worker's log, which replaces the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
    /// There was more before `log_tail`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub log_truncated: bool,
}

impl WorkerUpdate {
    /// A renewal under `lease_token`, and nothing else.
    pub fn new(lease_token: &str) -> Self {
        Self {
            lease_token: lease_token.to_owned(),
            lease_secs: LEASE_DEFAULT_SECS,
            worker_name: None,
            status: None,
            summary: None,
            failure_reason: None,
            progress: None,
            log_tail: None,
            log_truncated: false,
        }
    }

    /// Gives the request back under `lease_token`, as if this claim had never
    /// been. Allowed until a worker has started, and later with `retry`. A
    /// repeat is refused with `lease_lost`, which means that it is done.
    pub fn give_back(lease_token: &str) -> Self {
        Self { status: Some(SpawnStatus::Pending), ..Self::new(lease_token) }
    }

    /// Reads the body of `PATCH …/workers/{id}`.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let lease_token = fields.required_text("lease_token");
        let lease_secs = fields.integer("lease_seconds", LEASE_SECS).unwrap_or(LEASE_DEFAULT_SECS);
        let worker_name = fields.text("worker_name").filter(|text| !text.is_empty());
        let worker_name = worker_name.and_then(|text| {
            let name = AgentName::parse(&text);
            name.map_err(|error| fields.fault("worker_name", format!("the agent name {error}")))
                .ok()
        });
        let status = fields.parsed("status", |text| match SpawnStatus::parse(text) {
            Err(_) => Err("must be pending, in_progress, completed or failed"),
            Ok(status) => Ok(status),
        });
        let mut result = |name: &str| {
            let text = fields.text(name)?;
            if text.len() > RESULT_MAX {
                fields.fault(name, "is longer than 16384 bytes");
            }
            Some(text)
        };
        let (summary, failure_reason) = (result("summary"), result("failure_reason"));
        let progress = fields.parsed("progress", log::progress);
        let log_tail = fields.parsed("log_tail", log::log_tail);
        let log_truncated = fields.boolean("log_truncated").unwrap_or(false);
        let update = lease_token.map(|lease_token| Self {
            lease_token,
            lease_secs,
            worker_name,
            status: status.filter(|status| *status != SpawnStatus::InProgress),
            summary,
            failure_reason,
            progress,
            log_tail,
            log_truncated,
        });
        fields.finish(update)
    }
}
