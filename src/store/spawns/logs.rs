//! The table `spawn_logs`: the end of a worker's log, as its runner last sent it. It is
//! separate from `spawns`, so that no list reads it and no renewal without a log writes
//! it. It is deleted with its request.

use super::row::Row;
use crate::error::ApiError;
use crate::store::db::{Db, binds};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::spawn::WorkerUpdate;
use multiclaude_hybrid_protocol::{Owner, Repo, SpawnId};
use serde::Deserialize;
use worker::D1PreparedStatement;

/// The statement that stores the log of an update, if it has one and its sender holds the
/// lease. Execute it before the update.
pub(super) fn keep(
    db: &Db,
    row: &Row,
    update: &WorkerUpdate,
    now: Ms,
) -> Result<Option<D1PreparedStatement>, ApiError> {
    let Some(log) = &update.log_tail else {
        return Ok(None);
    };
    let sql = "INSERT INTO spawn_logs (id, log, truncated, updated_at) SELECT ?1, ?3, ?4, ?5 \
         FROM spawns WHERE id = ?1 AND lease = ?2 AND status = 'in_progress' \
         ON CONFLICT (id) DO UPDATE SET log = ?3, truncated = ?4, updated_at = ?5";
    let binds = binds! { row.id.as_str(), row.lease.as_deref(), log, update.log_truncated, now };
    db.prepare(sql, &binds).map(Some)
}

/// A request's log, and its owner.
#[derive(Debug, Deserialize)]
pub struct Log {
    /// Whose token asked for the worker.
    pub requested_by: Owner,
    /// The log's wire form, a JSON object; `None`: no log was sent yet.
    pub wire: Option<String>,
}

/// The log of a request; `None`: there is no such request.
pub async fn get(db: &Db, repo: &Repo, id: &SpawnId) -> Result<Option<Log>, ApiError> {
    let sql = "SELECT json_object('requested_by', requested_by, 'wire', (SELECT json_patch('{}', \
         json_object('id', id, 'log', log, 'truncated', json(iif(truncated, 'true', 'null')), \
         'updated_at', strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch'))) || '' \
         FROM spawn_logs WHERE id = ?1)) AS row FROM spawns WHERE id = ?1 AND repo = ?2";
    db.first(sql, &binds! { id.as_str(), repo.as_str() }).await
}
