//! A row of the table `spawns`.

use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::lease::{Held, PushId};
use multiclaude_hybrid_protocol::spawn::{REASON_CANCELLED, SpawnStatus};
use multiclaude_hybrid_protocol::{AgentName, Owner, Repo, SpawnId};
use serde::{Deserialize, Serialize};

/// A request in its wire form: made by SQLite, never parsed. `json_patch` drops nulls.
const WIRE: &str = "json_patch('{}', json_object('id', id, 'repo', repo, 'task', task, \
     'spawned_by', spawned_by, 'priority', priority, 'status', status, \
     'retry', json(iif(retry, 'true', 'false')), 'labels', json(iif(labels = '[]', 'null', labels)), \
     'metadata', json(metadata), \
     'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch'), \
     'worker_name', worker_name, 'claimed_by', claimed_by, \
     'lease_expires_at', strftime('%Y-%m-%dT%H:%M:%fZ', lease_expires_at / 1000.0, 'unixepoch'), \
     'lease_expired', json(iif(status = 'in_progress' \
       AND lease_expires_at <= unixepoch('subsec') * 1000, 'true', 'null')), \
     'cancel_requested', json(iif(cancel AND status = 'in_progress', 'true', 'null')), \
     'progress', progress, 'finished_at', strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch'), \
     'summary', summary, 'failure_reason', failure_reason))";

/// A [`Row`]. `WIRE` stands for the constant above.
const COLUMNS: &str = "json_object('id', id, 'repo', repo, 'spawned_by', spawned_by, \
     'requested_by', requested_by, 'status', status, 'retry', retry, 'content', content, \
     'worker_name', worker_name, 'claims', claims, 'returned', returned, 'lease', lease, \
     'lease_expires_at', lease_expires_at, 'cancel', cancel, 'summary', summary, \
     'failure_reason', failure_reason, 'wire', WIRE || '')";

/// The same, with the time at which a runner last asked for work in the repo.
pub const WITH_RUNNERS: &str = "json_set(COLUMNS, '$.runner_seen_at', \
     (SELECT seen_at FROM runners WHERE runners.repo = spawns.repo))";

/// A statement with `COLUMNS` and `WIRE` filled in.
pub fn sql(template: &str) -> String {
    template.replace("COLUMNS", COLUMNS).replace("WIRE", WIRE)
}

/// A request as stored.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    pub id: SpawnId,
    pub repo: Repo,
    /// Who gets a notice of its end.
    pub spawned_by: String,
    /// The owner of the token that asked.
    pub requested_by: Owner,
    pub status: SpawnStatus,
    retry: u32,
    /// The content that its idempotency key was used for.
    pub content: Option<String>,
    /// The worker, once it has started.
    pub worker_name: Option<AgentName>,
    pub claims: u32,
    returned: u32,
    /// The lease's token, sealed.
    pub lease: Option<String>,
    pub lease_expires_at: Option<Ms>,
    cancel: u32,
    pub summary: Option<String>,
    pub failure_reason: Option<String>,
    /// When a runner last asked for work in its repo; only with [`WITH_RUNNERS`].
    pub runner_seen_at: Option<Ms>,
    /// Its wire form, a JSON object.
    pub wire: String,
}

impl Row {
    /// The fields that its lease depends on.
    pub fn held(&self) -> Held {
        Held {
            status: self.status,
            started: self.worker_name.is_some(),
            retry: self.retry != 0,
            claims: self.claims.saturating_sub(self.returned),
            lease_expires_at: self.lease_expires_at,
            cancelled: self.cancel != 0,
        }
    }

    /// The id of its next push.
    pub fn push_id(&self) -> PushId {
        PushId { request: self.id.clone(), claims: self.claims }
    }

    /// Has its requester cancelled it? Then no notice is due.
    pub fn cancelled_by_requester(&self) -> bool {
        self.status == SpawnStatus::Failed
            && i64::from(self.cancel) == CancelledBy::Requester as i64
            && self.failure_reason.as_deref() == Some(REASON_CANCELLED)
    }

    /// Its wire form with one more member.
    pub fn wire_with(&self, name: &str, value: &impl Serialize) -> Result<String, ApiError> {
        let open = self.wire.strip_suffix('}').unwrap_or(&self.wire);
        Ok(format!("{open},\"{name}\":{}}}", serde_json::to_string(value)?))
    }
}

/// The column `cancel`: the canceller of the request; 0 if it is not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelledBy {
    /// Another principal than the requester.
    Another = 1,
    /// The principal that requested it.
    Requester = 2,
}
