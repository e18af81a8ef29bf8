//! Requests: asked for, listed, cancelled. The statement that stores a request checks the
//! limits, so they are exact under concurrent requests.

use super::row::{CancelledBy, Row, WITH_RUNNERS, sql};
use crate::error::ApiError;
use crate::store::audit::{self, Entry};
use crate::store::db::{Db, binds};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::config::{DEFAULT_MAX_WORKERS, DEFAULT_SPAWNS_PER_MINUTE};
use multiclaude_hybrid_protocol::spawn::{NewSpawn, REASON_CANCELLED, SpawnStatus};
use multiclaude_hybrid_protocol::{Repo, SpawnId};
use serde::Deserialize;

/// Bytes of tasks in one page of a list: a page is one value, which has at most 2 MB in D1.
const PAGE_BYTES: u32 = 512 * 1024;

/// A request to be stored.
pub struct New<'a> {
    pub request: &'a NewSpawn,
    /// Who gets a notice of its end.
    pub spawned_by: &'a str,
    /// Hashes of the idempotency key's scope and of the content.
    pub key: Option<(&'a str, &'a str)>,
    /// Its entry in the audit log, with its id, its repo, the owner that asks, and the time.
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
    let New { request, entry, .. } = new;
    let insert = db.prepare(
        &sql(&template),
        &binds! {
            &entry.subject, &entry.repo, &request.task, new.spawned_by, &entry.owner,
            request.priority, request.retry, &serde_json::to_string(&request.labels)?,
            &serde_json::to_string(&request.metadata)?, new.key.map(|(scope, _)| scope),
            new.key.map(|(_, content)| content), entry.at, entry.at - timing.spawn_window,
        },
    )?;
    audit::first_recorded(db, None, insert, Some(entry)).await
}

/// The use of a repo's limits.
#[derive(Debug, Deserialize)]
pub struct Usage {
    pub recent: u32,
    pub oldest: Option<Ms>,
    /// Requests allowed in the window.
    pub max_recent: u32,
    /// Workers that may be pending or in progress together.
    pub max_open: u32,
    /// When a runner last asked for work.
    pub runner_seen_at: Option<Ms>,
}

/// The use of a repo's limits.
pub async fn usage(db: &Db, repo: &Repo, now: Ms, timing: &Timing) -> Result<Usage, ApiError> {
    let sql = format!(
        "SELECT json_object('recent', count(*), 'oldest', min(created_at), \
         'max_recent', coalesce((SELECT max_spawns_per_minute FROM configs WHERE repo = ?1), {DEFAULT_SPAWNS_PER_MINUTE}), \
         'max_open', coalesce((SELECT max_workers FROM configs WHERE repo = ?1), {DEFAULT_MAX_WORKERS}), \
         'runner_seen_at', (SELECT seen_at FROM runners WHERE repo = ?1)) AS row \
         FROM spawns WHERE repo = ?1 AND created_at > ?2"
    );
    let binds = binds! { repo.as_str(), now - timing.spawn_window };
    db.first(&sql, &binds).await?.ok_or_else(|| ApiError::internal("no usage"))
}

/// The request that this idempotency key made.
pub async fn by_key(db: &Db, key: &str) -> Result<Option<Row>, ApiError> {
    let template = format!("SELECT {WITH_RUNNERS} AS row FROM spawns WHERE key = ?1");
    db.first(&sql(&template), &binds! { key }).await
}

pub async fn get(db: &Db, repo: &Repo, id: &SpawnId) -> Result<Option<Row>, ApiError> {
    let sql = sql("SELECT COLUMNS AS row FROM spawns WHERE id = ?1 AND repo = ?2");
    let binds = binds! { id.as_str(), repo.as_str() };
    db.first(&sql, &binds).await
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
    let binds = binds! { repo.as_str(), status.map(SpawnStatus::as_str), limit, offset };
    let page: Option<(u32, u32, String)> = db.first(&sql, &binds).await?;
    let (found, count, items) = page.unwrap_or((0, 0, "[]".to_owned()));
    Ok((items, count, found > count))
}

/// Cancels: a pending request fails, a worker is asked to stop. `None`: it has ended, or
/// was asked already.
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
    let binds = binds! { id.as_str(), REASON_CANCELLED, now, by as i64 };
    audit::first_recorded(db, None, db.prepare(&sql, &binds)?, Some(entry)).await
}

/// Deletes requests that ended before `before`.
pub async fn purge(db: &Db, before: Ms) -> Result<(), ApiError> {
    let sql = "DELETE FROM spawns WHERE id IN (SELECT id FROM spawns WHERE finished_at <= ?1 \
         AND notified_at IS NOT NULL LIMIT 500)";
    db.execute(sql, &binds! { before }).await
}
