//! The table `runners`: when somebody last asked for work in a repo.

use super::{Bind, Db};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::Repo;
use worker::D1PreparedStatement;

/// The statement that notes that somebody has, at most once a minute: a runner
/// that polls writes one row in that time.
pub(super) fn seen(
    db: &Db,
    repo: &Repo,
    now: Ms,
    timing: &Timing,
) -> Result<D1PreparedStatement, ApiError> {
    let sql = "INSERT INTO runners (repo, seen_at) VALUES (?1, ?2) \
         ON CONFLICT (repo) DO UPDATE SET seen_at = ?2 WHERE seen_at <= ?3";
    let binds = [Bind::Text(repo.as_str()), Bind::Int(now), Bind::Int(now - timing.seen_grain)];
    db.prepare(sql, &binds)
}
