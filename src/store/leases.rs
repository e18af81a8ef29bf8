//! The table `spawns`: claims and what the time does to them. Each is a single
//! statement, so it is exact however many ask at the same moment.

use super::audit::Entry;
use super::spawns::{Row, sql};
use super::{Bind, Db, runners, spawn_logs};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::lease::{
    CLAIMS_MAX, REASON_CANCELLED, REASON_NEVER_STARTED, REASON_RUNNER_LOST, Updated,
};
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::spawn::WorkerUpdate;
use multiclaude_hybrid_protocol::{Owner, Repo};

/// Executes `lease::expire` on a repo's requests (all repos: none given).
pub async fn expire(
    db: &Db,
    repo: Option<&Repo>,
    now: Ms,
    timing: &Timing,
) -> Result<bool, ApiError> {
    // `returns`: pending again, as if it had never been claimed.
    let returns = format!(
        "(NOT cancel AND (worker_name IS NULL AND claims - returned < {CLAIMS_MAX} OR worker_name IS NOT NULL AND retry))"
    );
    let sql = format!(
        "UPDATE spawns SET status = iif({returns}, 'pending', 'failed'), \
         finished_at = iif({returns}, NULL, ?2), \
         failure_reason = CASE WHEN {returns} THEN NULL \
         WHEN cancel AND (worker_name IS NULL OR retry) THEN '{REASON_CANCELLED}' \
         WHEN worker_name IS NULL THEN '{REASON_NEVER_STARTED}' ELSE '{REASON_RUNNER_LOST}' END, \
         worker_name = iif({returns}, NULL, worker_name), progress = iif({returns}, NULL, progress), \
         started_at = iif({returns}, NULL, started_at), \
         lease = NULL, lease_expires_at = NULL, claim_key = NULL, claimed_by = NULL, \
         pushed_at = iif({returns}, NULL, pushed_at) \
         WHERE status = 'in_progress' AND lease_expires_at <= ?2 AND (?1 IS NULL OR repo = ?1) \
         AND (worker_name IS NULL OR retry OR lease_expires_at <= ?3) RETURNING '1' AS row"
    );
    let binds =
        [Bind::Maybe(repo.map(Repo::as_str)), Bind::Int(now), Bind::Int(now - timing.lost_runner)];
    db.changes(&sql, binds).await
}

/// A claim to be granted.
pub struct Grant<'a> {
    /// `owner/repo`.
    pub repo: &'a Repo,
    /// What the runner has.
    pub labels: &'a [String],
    /// Whose runner it is.
    pub owner: &'a Owner,
    /// Hash of the claim's idempotency key.
    pub key: Option<&'a str>,
    /// The lease's token, sealed.
    pub lease: &'a str,
    /// Now.
    pub now: Ms,
    /// When the lease ends.
    pub ends: Ms,
    /// What the audit log tells of it.
    pub entry: &'a Entry,
}

/// Gives the best matching pending request to one caller: one statement.
/// Notes in the same batch that somebody asked for it.
pub async fn claim(db: &Db, grant: &Grant<'_>, timing: &Timing) -> Result<Option<Row>, ApiError> {
    let sql = sql(
        "UPDATE spawns SET status = 'in_progress', claims = claims + 1, claim_key = ?2, claimed_by = ?3, \
         lease = ?4, lease_expires_at = ?5 WHERE id = (SELECT id FROM spawns WHERE repo = ?1 \
         AND status = 'pending' AND finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM json_each(labels) \
         WHERE value NOT IN (SELECT value FROM json_each(?6))) \
         ORDER BY priority DESC, created_at, id LIMIT 1) RETURNING COLUMNS AS row",
    );
    let binds = [
        Bind::Text(grant.repo.as_str()),
        Bind::Maybe(grant.key),
        Bind::Text(grant.owner.as_str()),
        Bind::Text(grant.lease),
        Bind::Int(grant.ends),
        Bind::Text(&serde_json::to_string(grant.labels)?),
    ];
    let seen = runners::seen(db, grant.repo, grant.now, timing)?;
    db.recorded_after(Some(seen), &sql, &binds, Some(grant.entry)).await
}

/// Gives a request back, as `lease::update` decided, if it is still the same.
/// `claims` only grows: pushes are named after it. What was given back is
/// counted beside it.
pub async fn give_back(
    db: &Db,
    row: &Row,
    updated: &Updated,
    wish: &WorkerUpdate,
    now: Ms,
    entry: &Entry,
) -> Result<Option<Row>, ApiError> {
    let template = format!(
        "UPDATE spawns SET status = ?3, finished_at = iif(?3 = 'pending', NULL, ?4), \
         failure_reason = iif(?3 = 'pending', NULL, '{REASON_CANCELLED}'), summary = NULL, \
         returned = returned + 1, worker_name = NULL, progress = NULL, started_at = NULL, \
         lease = NULL, lease_expires_at = NULL, claim_key = NULL, claimed_by = NULL, \
         pushed_at = iif(?3 = 'pending', NULL, pushed_at) \
         WHERE id = ?1 AND lease = ?2 AND status = 'in_progress' AND (cancel <> 0) = ?5 \
         AND (worker_name IS NULL OR retry) RETURNING COLUMNS AS row"
    );
    let binds = [
        Bind::Text(row.id.as_str()),
        Bind::Maybe(row.lease.as_deref()),
        Bind::Text(updated.status.as_str()),
        Bind::Int(now),
        Bind::Int(row.held().cancelled.into()),
    ];
    let log = spawn_logs::keep(db, row, wish, now)?;
    db.recorded_after(log, &sql(&template), &binds, Some(entry)).await
}

/// The request that this claim's idempotency key got, while it holds it.
pub async fn by_claim(db: &Db, key: &str) -> Result<Option<Row>, ApiError> {
    let sql =
        sql("SELECT COLUMNS AS row FROM spawns WHERE claim_key = ?1 AND status = 'in_progress'");
    db.first(&sql, [Bind::Text(key)]).await
}
