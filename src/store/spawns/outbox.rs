//! The outbox: requests to push, and ends to notify requesters of. Both are columns, so a
//! crash loses none.

use super::row::{Row, sql};
use crate::error::ApiError;
use crate::store::db::{Db, binds};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::lease::PushId;
use multiclaude_hybrid_protocol::{Repo, SpawnId};

/// Pending requests that are not handed over to the mailbox that pushes, of repos whose
/// configuration it has confirmed. Of one repo the oldest come first; of all repos the order
/// is random, so that failing ones do not block the others.
pub async fn not_handed_over(
    db: &Db,
    repo: Option<&Repo>,
    limit: u32,
) -> Result<Vec<Row>, ApiError> {
    let sql = sql(
        "SELECT json_group_array(COLUMNS) AS row FROM (SELECT spawns.* FROM spawns JOIN configs USING (repo) \
         WHERE pushed_at IS NULL AND status = 'pending' AND spawn_endpoint <> '' \
         AND version = pushing_version AND (?1 IS NULL OR repo = ?1) ORDER BY iif(?1 IS NULL, random(), 0), spawns.created_at LIMIT ?2)",
    );
    let binds = binds! { repo.map(Repo::as_str), limit };
    Ok(db.first(&sql, &binds).await?.unwrap_or_default())
}

/// Notes that the mailbox that pushes has the request, unless it was claimed since.
pub async fn handed_over(db: &Db, row: &Row, now: Ms) -> Result<(), ApiError> {
    let sql =
        "UPDATE spawns SET pushed_at = ?2 WHERE id = ?1 AND claims = ?3 AND pushed_at IS NULL";
    db.execute(sql, &binds! { row.id.as_str(), now, row.claims }).await
}

/// Is the request that was pushed under this id still pending, and not claimed since?
pub async fn is_pending(db: &Db, id: &PushId) -> Result<bool, ApiError> {
    let sql = "SELECT '1' AS row FROM spawns WHERE id = ?1 AND status = 'pending' AND claims = ?2";
    db.has_row(sql, &binds! { id.request.as_str(), id.claims }).await
}

/// Is there anything in the outbox of a repo?
pub async fn has_any(db: &Db, repo: &Repo) -> Result<bool, ApiError> {
    let sql = "SELECT '1' AS row WHERE EXISTS (SELECT 1 FROM spawns \
         WHERE finished_at IS NOT NULL AND notified_at IS NULL AND repo = ?1) \
         OR EXISTS (SELECT 1 FROM configs WHERE repo = ?1 AND (version <> pushing_version \
         OR spawn_endpoint <> '' AND EXISTS (SELECT 1 FROM spawns WHERE repo = ?1 \
         AND pushed_at IS NULL AND status = 'pending')))";
    db.has_row(sql, &binds! { repo.as_str() }).await
}

/// Ended requests whose requester was not notified yet.
pub async fn unnotified(db: &Db, repo: Option<&Repo>, limit: u32) -> Result<Vec<Row>, ApiError> {
    let sql = sql("SELECT json_group_array(COLUMNS) AS row FROM (SELECT * FROM spawns \
         WHERE finished_at IS NOT NULL AND notified_at IS NULL AND (?1 IS NULL OR repo = ?1) \
         ORDER BY random() LIMIT ?2)");
    let binds = binds! { repo.map(Repo::as_str), limit };
    Ok(db.first(&sql, &binds).await?.unwrap_or_default())
}

/// Notes that the requester was notified, or that there is no agent to notify.
pub async fn notified(db: &Db, id: &SpawnId, now: Ms) -> Result<(), ApiError> {
    let sql = "UPDATE spawns SET notified_at = ?2 WHERE id = ?1";
    db.execute(sql, &binds! { id.as_str(), now }).await
}
