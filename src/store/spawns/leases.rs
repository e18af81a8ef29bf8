//! Leases: claimed, updated, given back, expired. Each is a single statement, so it is exact
//! under concurrent requests.

use super::row::{Row, sql};
use super::{logs, runners};
use crate::error::ApiError;
use crate::store::audit::{self, Entry};
use crate::store::db::{Db, binds};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::lease::{
    CLAIMS_MAX, REASON_NEVER_STARTED, REASON_RUNNER_LOST, Updated,
};
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::spawn::{REASON_CANCELLED, WorkerUpdate};
use multiclaude_hybrid_protocol::{AgentName, Owner, Repo};

/// Executes `lease::expire` on the requests of a repo, or of all.
pub async fn expire(
    db: &Db,
    repo: Option<&Repo>,
    now: Ms,
    timing: &Timing,
) -> Result<bool, ApiError> {
    let binds = binds! { repo.map(Repo::as_str), now, now - timing.lost_runner };
    db.has_row(&expire_sql(), &binds).await
}

/// The rule of `lease::expire` as a statement.
fn expire_sql() -> String {
    // `returns`: pending again; the claim that has ended counts. The column `returned` counts
    // claims that were given back, which do not.
    let returns = format!(
        "(NOT cancel AND (worker_name IS NULL AND claims - returned < {CLAIMS_MAX} OR worker_name IS NOT NULL AND retry))"
    );
    format!(
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
    )
}

/// A claim to be granted.
pub struct Grant<'a> {
    pub repo: &'a Repo,
    /// The labels that the runner has.
    pub labels: &'a [String],
    /// Whose runner it is.
    pub owner: &'a Owner,
    /// Hash of the claim's idempotency key.
    pub key: Option<&'a str>,
    /// The lease's token, sealed.
    pub lease: &'a str,
    pub now: Ms,
    pub ends: Ms,
    /// Its entry in the audit log.
    pub entry: &'a Entry,
}

/// Gives the best matching pending request to one caller: one statement. The same batch
/// notes that a runner has asked.
pub async fn claim(db: &Db, grant: &Grant<'_>, timing: &Timing) -> Result<Option<Row>, ApiError> {
    let sql = sql(
        "UPDATE spawns SET status = 'in_progress', claims = claims + 1, claim_key = ?2, claimed_by = ?3, \
         lease = ?4, lease_expires_at = ?5 WHERE id = (SELECT id FROM spawns WHERE repo = ?1 \
         AND status = 'pending' AND finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM json_each(labels) \
         WHERE value NOT IN (SELECT value FROM json_each(?6))) \
         ORDER BY priority DESC, created_at, id LIMIT 1) RETURNING COLUMNS AS row",
    );
    let binds = binds! {
        grant.repo.as_str(), grant.key, grant.owner.as_str(), grant.lease, grant.ends,
        &serde_json::to_string(grant.labels)?,
    };
    let seen = runners::seen(db, grant.repo, grant.now, timing)?;
    audit::first_recorded(db, Some(seen), db.prepare(&sql, &binds)?, Some(grant.entry)).await
}

/// Writes an update that `lease::update` decided, if the row is still the same.
pub async fn update(
    db: &Db,
    row: &Row,
    updated: &Updated,
    update: &WorkerUpdate,
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
    let binds = binds! {
        row.id.as_str(), row.lease.as_deref(), updated.status.as_str(), ends.as_deref(),
        update.worker_name.as_ref().map(AgentName::as_str), now, update.summary.as_deref(),
        update.failure_reason.as_deref(), row.status.as_str(), update.progress.as_deref(),
    };
    let log = logs::keep(db, row, update, now)?;
    audit::first_recorded(db, log, db.prepare(&sql, &binds)?, entry).await
}

/// Gives a request back, as `lease::update` decided, if it is still the same. `claims` only
/// grows, because push ids contain it; `returned` counts claims that were given back.
pub async fn give_back(
    db: &Db,
    row: &Row,
    updated: &Updated,
    update: &WorkerUpdate,
    now: Ms,
    entry: Option<&Entry>,
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
    let binds = binds! {
        row.id.as_str(), row.lease.as_deref(), updated.status.as_str(), now, row.held().cancelled,
    };
    let log = logs::keep(db, row, update, now)?;
    audit::first_recorded(db, log, db.prepare(&sql(&template), &binds)?, entry).await
}

/// The request that was claimed under this idempotency key, while it is in progress.
pub async fn by_claim(db: &Db, key: &str) -> Result<Option<Row>, ApiError> {
    let sql =
        sql("SELECT COLUMNS AS row FROM spawns WHERE claim_key = ?1 AND status = 'in_progress'");
    db.first(&sql, &binds! { key }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_core::lease::{self, Expiry, Held};
    use multiclaude_hybrid_protocol::spawn::SpawnStatus;
    use std::path::Path;
    use std::process::Command;

    const NOW: Ms = 100_000_000;

    /// Every state that the rule distinguishes, at each of its limits.
    fn states(timing: &Timing) -> Vec<Held> {
        let lost = NOW - timing.lost_runner;
        let ends = [None, Some(NOW + 1), Some(NOW), Some(NOW - 1), Some(lost + 1), Some(lost)];
        let mut states = Vec::new();
        for status in SpawnStatus::TEXTS.iter().map(|text| SpawnStatus::parse(text).unwrap()) {
            for claims in [1, CLAIMS_MAX - 1, CLAIMS_MAX, CLAIMS_MAX + 1] {
                for lease_expires_at in ends {
                    for bits in 0..8 {
                        let (started, retry, cancelled) =
                            (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                        let held =
                            Held { status, started, retry, claims, lease_expires_at, cancelled };
                        states.push(held);
                    }
                }
            }
        }
        states
    }

    #[test]
    fn the_statement_expires_leases_as_core_does() {
        const RUN: &str = "
            const {readFileSync, readdirSync} = require('node:fs');
            const {DatabaseSync} = require('node:sqlite');
            const [folder, sql, now, lost, states] = process.argv.slice(1);
            const db = new DatabaseSync(':memory:');
            for (const file of readdirSync(folder).sort()) db.exec(readFileSync(folder + '/' + file, 'utf8'));
            const insert = db.prepare(`INSERT INTO spawns (id, repo, task, spawned_by, requested_by,
              priority, status, retry, labels, metadata, created_at, worker_name, claims, returned,
              cancel, lease_expires_at) VALUES (?, 'a/b', '', '', '', 0, ?, ?, '[]', '{}', 0, ?, ?, 2, ?, ?)`);
            JSON.parse(states).forEach(([status, started, retry, claims, ends, cancelled], at) =>
              insert.run(String(at), status, +retry, started ? 'w' : null, claims + 2, +cancelled, ends));
            db.prepare(sql).all(null, +now, +lost);
            const after = db.prepare('SELECT status, failure_reason FROM spawns ORDER BY CAST(id AS INTEGER)').all();
            console.log(JSON.stringify(after.map(row => [row.status, row.failure_reason])));";
        let timing = Timing::default();
        let states = states(&timing);
        let rows: Vec<_> = states
            .iter()
            .map(|held| {
                let Held { status, started, retry, claims, lease_expires_at, cancelled } = held;
                (status, started, retry, claims, lease_expires_at, cancelled)
            })
            .collect();
        let output = Command::new("node")
            .args(["--disable-warning=ExperimentalWarning", "-e", RUN])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"))
            .args([expire_sql(), NOW.to_string(), (NOW - timing.lost_runner).to_string()])
            .arg(serde_json::to_string(&rows).unwrap())
            .output()
            .expect("node runs (`. scripts/tools` puts it on the path)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Vec<(SpawnStatus, Option<String>)> =
            serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found.len(), states.len());
        for (held, found) in states.iter().zip(found) {
            let wanted = match lease::expire(held, NOW, &timing) {
                Expiry::Stands => (held.status, None),
                Expiry::Returns => (SpawnStatus::Pending, None),
                Expiry::Fails(reason) => (SpawnStatus::Failed, Some(reason.to_owned())),
            };
            assert_eq!(found, wanted, "{held:?}");
        }
    }
}
