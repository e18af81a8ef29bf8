//! The table `spawns`.
//!
//! Limits and claims are single statements, so they are exact however many
//! ask at the same moment.

use super::audit::Entry;
use super::{Bind, Db, spawn_logs};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::lease::{Held, REASON_CANCELLED, Updated};
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::config::{DEFAULT_MAX_WORKERS, DEFAULT_SPAWNS_PER_MINUTE};
use multiclaude_hybrid_protocol::spawn::{NewSpawn, SpawnStatus, WorkerUpdate};
use multiclaude_hybrid_protocol::{AgentName, Owner, Repo, SpawnId, Timestamp};
use serde::{Deserialize, Serialize};

/// Bytes of one page of a list: D1 answers with one value, which has at most
/// 2 MB.
const PAGE_BYTES: u32 = 512 * 1024;

/// A request as it goes on the wire: made by SQLite, never taken apart here.
/// `json_patch` drops what is null.
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

/// A row for decisions, with its wire form. `WIRE` stands for the one above.
const COLUMNS: &str = "json_object('id', id, 'repo', repo, 'spawned_by', spawned_by, \
     'requested_by', requested_by, 'status', status, 'retry', retry, 'content', content, \
     'worker_name', worker_name, 'claims', claims, 'returned', returned, 'lease', lease, \
     'lease_expires_at', lease_expires_at, 'cancel', cancel, 'summary', summary, \
     'failure_reason', failure_reason, 'wire', WIRE || '')";

/// The same, with when somebody last asked for work in the repo.
const WITH_RUNNERS: &str = "json_set(COLUMNS, '$.runner_seen_at', \
     (SELECT seen_at FROM runners WHERE runners.repo = spawns.repo))";

/// A statement with `COLUMNS` and `WIRE` filled in.
pub(super) fn sql(template: &str) -> String {
    template.replace("COLUMNS", COLUMNS).replace("WIRE", WIRE)
}

/// A request as stored.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// Names it.
    pub id: SpawnId,
    /// `owner/repo`.
    pub repo: Repo,
    /// Who is told of its end.
    pub spawned_by: String,
    /// Whose token asked.
    pub requested_by: Owner,
    /// How far it has come.
    pub status: SpawnStatus,
    retry: u32,
    /// What its idempotency key was used for.
    pub content: Option<String>,
    /// The worker, once it has started.
    pub worker_name: Option<AgentName>,
    /// How often it was claimed.
    pub claims: u32,
    returned: u32,
    /// The lease's token, sealed.
    pub lease: Option<String>,
    lease_expires_at: Option<Ms>,
    cancel: u32,
    /// What the worker has to say.
    pub summary: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// When somebody last asked for work in its repo; known to those who ask
    /// for a worker.
    pub runner_seen_at: Option<Ms>,
    /// Its wire form, a JSON object.
    pub wire: String,
}

impl Row {
    /// What its lease depends on.
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

    /// Has it ended as its requester wished by cancelling it? Then nobody needs
    /// to be notified.
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

    /// When its lease ends.
    pub fn lease_ends(&self) -> Option<Timestamp> {
        self.lease_expires_at.map(Timestamp)
    }
}

/// A request to be stored.
pub struct New<'a> {
    /// Its id.
    pub id: &'a SpawnId,
    /// `owner/repo`.
    pub repo: &'a Repo,
    /// What was asked for.
    pub wish: &'a NewSpawn,
    /// Who is told of its end.
    pub spawned_by: &'a str,
    /// Whose token asks.
    pub requested_by: &'a Owner,
    /// Hashes of the idempotency key's scope and of the content.
    pub key: Option<(&'a str, &'a str)>,
    /// Now.
    pub now: Ms,
    /// What the audit log tells of it.
    pub entry: &'a Entry,
}

/// Stores a request if the repo's limits allow it: one statement.
pub async fn insert(db: &Db, new: &New<'_>, timing: &Timing) -> Result<Option<Row>, ApiError> {
    let template = format!(
        "INSERT INTO spawns (id, repo, task, spawned_by, requested_by, priority, status, retry, labels, \
         metadata, key, content, created_at) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8, ?9, ?10, ?11, ?12 WHERE \
         (SELECT count(*) FROM spawns WHERE repo = ?2 AND created_at > ?13) \
           < coalesce((SELECT max_spawns_per_minute FROM configs WHERE repo = ?2), {DEFAULT_SPAWNS_PER_MINUTE}) \
         AND (SELECT count(*) FROM spawns WHERE repo = ?2 AND finished_at IS NULL) \
           < coalesce((SELECT max_workers FROM configs WHERE repo = ?2), {DEFAULT_MAX_WORKERS}) \
         ON CONFLICT (key) DO NOTHING RETURNING {WITH_RUNNERS} AS row"
    );
    let wish = new.wish;
    db.recorded(
        &sql(&template),
        &[
            Bind::Text(new.id.as_str()),
            Bind::Text(new.repo.as_str()),
            Bind::Text(&wish.task),
            Bind::Text(new.spawned_by),
            Bind::Text(new.requested_by.as_str()),
            Bind::Int(wish.priority),
            Bind::Int(wish.retry.into()),
            Bind::Text(&serde_json::to_string(&wish.labels)?),
            Bind::Text(&serde_json::to_string(&wish.metadata)?),
            Bind::Maybe(new.key.map(|(scope, _)| scope)),
            Bind::Maybe(new.key.map(|(_, content)| content)),
            Bind::Int(new.now),
            Bind::Int(new.now - timing.spawn_window),
        ],
        Some(new.entry),
    )
    .await
}

/// How much of the limits is used.
#[derive(Debug, Deserialize)]
pub struct Usage {
    /// Requests in the window.
    pub recent: u32,
    /// The oldest of them.
    pub oldest: Option<Ms>,
    /// Requests that may come in the window.
    pub max_recent: u32,
    /// Workers that may be open together.
    pub max_open: u32,
    /// When somebody last asked for work.
    pub runner_seen_at: Option<Ms>,
}

/// Why a request did not fit.
pub async fn usage(db: &Db, repo: &Repo, now: Ms, timing: &Timing) -> Result<Usage, ApiError> {
    let sql = format!(
        "SELECT json_object('recent', count(*), 'oldest', min(created_at), \
         'max_recent', coalesce((SELECT max_spawns_per_minute FROM configs WHERE repo = ?1), {DEFAULT_SPAWNS_PER_MINUTE}), \
         'max_open', coalesce((SELECT max_workers FROM configs WHERE repo = ?1), {DEFAULT_MAX_WORKERS}), \
         'runner_seen_at', (SELECT seen_at FROM runners WHERE repo = ?1)) AS row \
         FROM spawns WHERE repo = ?1 AND created_at > ?2"
    );
    let binds = [Bind::Text(repo.as_str()), Bind::Int(now - timing.spawn_window)];
    db.first(&sql, binds).await?.ok_or_else(|| ApiError::internal("no usage"))
}

/// The request that this idempotency key made.
pub async fn by_key(db: &Db, key: &str) -> Result<Option<Row>, ApiError> {
    let template = format!("SELECT {WITH_RUNNERS} AS row FROM spawns WHERE key = ?1");
    db.first(&sql(&template), [Bind::Text(key)]).await
}

/// A request.
pub async fn get(db: &Db, repo: &Repo, id: &SpawnId) -> Result<Option<Row>, ApiError> {
    let sql = sql("SELECT COLUMNS AS row FROM spawns WHERE id = ?1 AND repo = ?2");
    let binds = [Bind::Text(id.as_str()), Bind::Text(repo.as_str())];
    db.first(&sql, binds).await
}

/// Requests of a repo, the most urgent first, then the oldest, from a
/// position on: a JSON array, how many are in it, and whether more follow.
pub async fn list(
    db: &Db,
    repo: &Repo,
    status: Option<SpawnStatus>,
    limit: u32,
    offset: u32,
) -> Result<(String, u32, bool), ApiError> {
    let sql = sql("WITH found AS (SELECT *, row_number() OVER urgent AS place FROM spawns WHERE repo = ?1 \
         AND (?2 IS NULL OR status = ?2) WINDOW urgent AS (ORDER BY priority DESC, created_at, id) \
         ORDER BY place LIMIT ?3 + 1 OFFSET ?4), \
         sized AS (SELECT *, sum(octet_length(task)) OVER (ORDER BY place) - octet_length(task) AS before FROM found) \
         SELECT json_array((SELECT count(*) FROM found), count(*), \
         coalesce('[' || group_concat(WIRE, ',' ORDER BY place) || ']', '[]')) AS row \
         FROM sized WHERE place <= ?3 + ?4 AND before <= PAGE_BYTES").replace("PAGE_BYTES", &PAGE_BYTES.to_string());
    let binds = [
        Bind::Text(repo.as_str()),
        Bind::Maybe(status.map(SpawnStatus::as_str)),
        Bind::Int(limit.into()),
        Bind::Int(offset.into()),
    ];
    let page: Option<(u32, u32, String)> = db.first(&sql, binds).await?;
    let (found, count, items) = page.unwrap_or((0, 0, "[]".to_owned()));
    Ok((items, count, found > count))
}

/// Writes what the holder of the lease decided, if the row is still the same.
pub async fn update(
    db: &Db,
    row: &Row,
    updated: &Updated,
    wish: &WorkerUpdate,
    now: Ms,
    entry: Option<&Entry>,
) -> Result<Option<Row>, ApiError> {
    let sql = sql("UPDATE spawns SET status = ?3, lease_expires_at = CAST(?4 AS INTEGER), \
         worker_name = coalesce(?5, worker_name), \
         started_at = coalesce(started_at, iif(?5 IS NULL, NULL, ?6)), \
         summary = coalesce(?7, summary), failure_reason = coalesce(?8, failure_reason), \
         progress = nullif(coalesce(?10, progress), ''), \
         finished_at = iif(?3 = 'in_progress', NULL, coalesce(finished_at, ?6)), \
         claim_key = iif(?3 = 'in_progress', claim_key, NULL) \
         WHERE id = ?1 AND lease = ?2 AND status = ?9 RETURNING COLUMNS AS row");
    let ends = updated.lease_expires_at.map(|at| at.to_string());
    let binds = [
        Bind::Text(row.id.as_str()),
        Bind::Maybe(row.lease.as_deref()),
        Bind::Text(updated.status.as_str()),
        Bind::Maybe(ends.as_deref()),
        Bind::Maybe(wish.worker_name.as_ref().map(AgentName::as_str)),
        Bind::Int(now),
        Bind::Maybe(wish.summary.as_deref()),
        Bind::Maybe(wish.failure_reason.as_deref()),
        Bind::Text(row.status.as_str()),
        Bind::Maybe(wish.progress.as_deref()),
    ];
    db.recorded_after(spawn_logs::keep(db, row, wish, now)?, &sql, &binds, entry).await
}

/// Who wants a request to stop; the column `cancel`, 0 as long as nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelledBy {
    /// Somebody else than who requested it.
    Another = 1,
    /// The principal that requested it.
    Requester = 2,
}

/// Cancels: what is pending fails, what is at work is asked to stop. `None`: it
/// has ended, or was asked already.
pub async fn cancel(
    db: &Db,
    id: &SpawnId,
    by: CancelledBy,
    now: Ms,
    entry: &Entry,
) -> Result<Option<Row>, ApiError> {
    let sql = sql(
        "UPDATE spawns SET cancel = ?4, failure_reason = iif(status = 'pending', ?2, failure_reason), \
         finished_at = iif(status = 'pending', ?3, finished_at), \
         status = iif(status = 'pending', 'failed', status) \
         WHERE id = ?1 AND finished_at IS NULL AND (status = 'pending' OR NOT cancel) RETURNING COLUMNS AS row",
    );
    let binds = [
        Bind::Text(id.as_str()),
        Bind::Text(REASON_CANCELLED),
        Bind::Int(now),
        Bind::Int(by as i64),
    ];
    db.recorded(&sql, &binds, Some(entry)).await
}

/// Deletes requests that ended before `before`.
pub async fn purge(db: &Db, before: Ms) -> Result<(), ApiError> {
    let sql = "DELETE FROM spawns WHERE id IN (SELECT id FROM spawns WHERE finished_at <= ?1 \
         AND notified_at IS NOT NULL LIMIT 500) RETURNING '1' AS row";
    db.changes(sql, [Bind::Int(before)]).await.map(|_| ())
}
