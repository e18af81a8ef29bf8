//! The columns of `agents` about presence: `delivery`, `last_seen`, and heartbeats.

use super::db::{Db, binds};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::heartbeat::Heartbeat;
use multiclaude_hybrid_protocol::{AgentId, AgentName, Repo};

/// Sets how messages reach this incarnation, and when its mailbox has last seen the holder.
pub async fn set_delivery(
    db: &Db,
    id: &AgentId,
    repo: &Repo,
    name: &AgentName,
    (delivery, reason): (Delivery, Option<&str>),
    seen: Option<Ms>,
) -> Result<(), ApiError> {
    let sql = "UPDATE agents SET delivery = ?4, delivery_reason = ?5, \
         last_seen = max(last_seen, ?6) \
         WHERE repo = ?1 AND name = ?2 AND id = ?3";
    let binds = binds! {
        repo.as_str(), name.as_str(), id.as_str(), delivery.as_str(), reason, seen.unwrap_or(0),
    };
    db.execute(sql, &binds).await
}

/// Notes that the holder of this incarnation was present, unless that was noted after
/// `before`.
pub async fn set_seen(
    db: &Db,
    id: &AgentId,
    repo: &Repo,
    name: &AgentName,
    seen: Ms,
    before: Ms,
) -> Result<(), ApiError> {
    let sql = "UPDATE agents SET last_seen = ?4 WHERE repo = ?1 AND name = ?2 AND id = ?3 \
         AND deleted_at IS NULL AND last_seen <= ?5";
    let binds = binds! { repo.as_str(), name.as_str(), id.as_str(), seen, before };
    db.execute(sql, &binds).await
}

/// Applies the heartbeats of a machine: one batch of two statements, which writes only the
/// rows that change.
///
/// The caller acts for the agents of `owner`; none for a service, which acts for all.
/// Returns a `HeartbeatResult` for each, as JSON.
pub async fn heartbeats(
    db: &Db,
    repo: &Repo,
    beats: &[Heartbeat],
    owner: Option<&str>,
    now: Ms,
    grain: Ms,
) -> Result<String, ApiError> {
    const BEATS: &str = "(SELECT value ->> 'name' AS name, value ->> 'id' AS id, \
         value ->> 'status' AS status, value -> 'metadata' AS metadata, key FROM json_each(?1))";
    let update = format!(
        "UPDATE agents SET last_seen = max(last_seen, ?4), status = coalesce(beat.status, agents.status), \
         metadata = coalesce(beat.metadata, agents.metadata) \
         FROM {BEATS} AS beat WHERE agents.repo = ?2 AND agents.name = beat.name \
         AND agents.deleted_at IS NULL AND (beat.id IS NULL OR beat.id = agents.id) \
         AND (?3 IS NULL OR agents.owner = ?3) AND (agents.last_seen <= ?5 \
         OR agents.status <> coalesce(beat.status, agents.status) \
         OR agents.metadata <> coalesce(beat.metadata, agents.metadata))"
    );
    let answer = format!(
        "SELECT json_group_array(json_object('name', beat.name, 'result', CASE \
         WHEN agents.name IS NULL THEN 'agent_not_found' \
         WHEN beat.id IS NOT NULL AND (agents.deleted_at IS NOT NULL OR beat.id <> agents.id) \
           THEN 'agent_superseded' \
         WHEN agents.deleted_at IS NOT NULL THEN 'agent_not_found' \
         WHEN ?3 IS NOT NULL AND agents.owner <> ?3 THEN 'forbidden' ELSE 'ok' END) ORDER BY beat.key) AS row \
         FROM {BEATS} AS beat LEFT JOIN agents ON agents.repo = ?2 AND agents.name = beat.name"
    );
    let json = serde_json::to_string(beats)?;
    let update_binds = binds! { &json, repo.as_str(), owner, now, now - grain };
    let answer_binds = binds! { &json, repo.as_str(), owner };
    let statements = vec![db.prepare(&update, &update_binds)?, db.prepare(&answer, &answer_binds)?];
    let results = db.batch(statements, 1).await?;
    Ok(results.unwrap_or_else(|| "[]".to_owned()))
}
