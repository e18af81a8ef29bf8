//! The table `runners`: when a runner last asked for work in a repo.

use crate::error::ApiError;
use crate::store::db::{Db, binds};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::Repo;
use worker::D1PreparedStatement;

/// The statement that notes that a runner has asked, which writes at most one row per
/// minute.
pub(super) fn seen(
    db: &Db,
    repo: &Repo,
    now: Ms,
    timing: &Timing,
) -> Result<D1PreparedStatement, ApiError> {
    let sql = "INSERT INTO runners (repo, seen_at) VALUES (?1, ?2) \
         ON CONFLICT (repo) DO UPDATE SET seen_at = ?2 WHERE seen_at <= ?3";
    let binds = binds! { repo.as_str(), now, now - timing.seen_grain };
    db.prepare(sql, &binds)
}
