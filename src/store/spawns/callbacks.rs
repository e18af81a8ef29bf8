//! The table `callbacks`: reports of the endpoint that requests are pushed to, each
//! `webhook-id` once per repo.

use super::row::{Row, sql};
use super::runners;
use crate::error::ApiError;
use crate::store::audit::Entry;
use crate::store::db::{Db, binds, parse};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::callback::{Callback, Event};
use multiclaude_hybrid_protocol::{AgentName, Repo};

/// The holder of a request that a callback leased, in place of an owner.
pub const HOLDER: &str = "spawn-endpoint";

/// Applies a callback, if it is new, no runner holds the request, and no worker other than
/// the named one was started: one batch, so a crash neither loses a callback nor applies
/// one twice.
///
/// A start shows that a runner is there, even if it comes too late.
pub async fn take(
    db: &Db,
    repo: &Repo,
    callback: &Callback,
    webhook_id: &str,
    entry: Option<&Entry>,
    now: Ms,
    timing: &Timing,
) -> Result<Option<Row>, ApiError> {
    let sql = sql(
        "UPDATE spawns SET status = ?3, claims = claims + (status = 'pending'), claimed_by = ?4, \
         lease = NULL, claim_key = NULL, lease_expires_at = iif(?3 = 'in_progress', ?5, NULL), \
         worker_name = coalesce(?6, worker_name), \
         started_at = coalesce(started_at, iif(?6 IS NULL, NULL, ?7)), \
         summary = coalesce(?8, summary), failure_reason = coalesce(?9, failure_reason), \
         finished_at = iif(?3 = 'in_progress', NULL, ?7), callback = ?10 \
         WHERE id = ?1 AND repo = ?2 AND finished_at IS NULL \
         AND (status = 'in_progress' AND lease IS NULL AND (?6 IS NULL OR worker_name = ?6) \
         OR status = 'pending' AND ?11) \
         AND NOT EXISTS (SELECT 1 FROM callbacks WHERE repo = ?2 AND id = ?10) RETURNING COLUMNS AS row",
    );
    let update = db.prepare(
        &sql,
        &binds! {
            callback.id.as_str(), repo.as_str(), callback.event.status().as_str(), HOLDER,
            now + callback.lease_secs * timing.second,
            callback.worker_name.as_ref().map(AgentName::as_str), now,
            callback.summary.as_deref(), callback.failure_reason.as_deref(), webhook_id,
            // A pending request can be started or refused.
            matches!(callback.event, Event::Started | Event::Failed),
        },
    )?;
    let entry = entry.map(|entry| entry.prepare(db)).transpose()?;
    let starts = callback.event == Event::Started;
    let seen = starts.then(|| runners::seen(db, repo, now, timing)).transpose()?;
    let note = "INSERT INTO callbacks (repo, id, at) SELECT ?1, ?2, ?3 FROM spawns \
         WHERE id = ?4 AND callback = ?2 ON CONFLICT DO NOTHING";
    let note =
        db.prepare(note, &binds! { repo.as_str(), webhook_id, now, callback.id.as_str() })?;
    let statements = [update].into_iter().chain(entry).chain(seen).chain([note]).collect();
    parse(db.batch(statements, 0).await?)
}

/// Was this callback received already?
pub async fn taken(db: &Db, repo: &Repo, webhook_id: &str) -> Result<bool, ApiError> {
    let sql = "SELECT '1' AS row FROM callbacks WHERE repo = ?1 AND id = ?2";
    db.has_row(sql, &binds! { repo.as_str(), webhook_id }).await
}

/// Deletes at most 500 callbacks that were received before `before`.
pub async fn purge(db: &Db, before: Ms) -> Result<(), ApiError> {
    let sql = "DELETE FROM callbacks WHERE (repo, id) IN (SELECT repo, id FROM callbacks \
         WHERE at < ?1 LIMIT 500)";
    db.execute(sql, &binds! { before }).await
}
