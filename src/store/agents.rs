//! The table `agents`: the registry.
//!
//! A change is decided on the row that was read and written only if that row
//! is still the same, so concurrent changes never overwrite each other.

use super::audit::{self, Entry};
use super::db::{Db, binds};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::mailbox::AgentRef;
use multiclaude_hybrid_core::registry::{self, Row, Version};
use multiclaude_hybrid_protocol::agent::{AgentStatus, Location};
use multiclaude_hybrid_protocol::{AgentId, AgentName, Owner, Repo};
use serde::Deserialize;

/// An agent in its wire form, with `$status` as its status. `json_patch` drops nulls.
macro_rules! wire {
    ($status:literal) => {
        concat!(
            "json_patch('{}', json_object('id', id, 'name', name, 'type', type, \
             'location', location, 'owner', owner, 'repo', repo, 'status', ",
            $status,
            ", 'endpoint', endpoint, \
             'delivery', delivery, 'delivery_reason', delivery_reason, 'instance', instance, \
             'last_seen', strftime('%Y-%m-%dT%H:%M:%fZ', last_seen / 1000.0, 'unixepoch'), \
             'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch'), \
             'metadata', json(metadata)))"
        )
    };
}

/// For lists, with the status of `presence::reported`: an agent that was not seen since
/// `?7` is stopped.
const LISTED: &str = wire!("iif(last_seen <= ?7 AND delivery <> 'stream', 'stopped', status)");

/// A [`Row`].
const ROW: &str = concat!(
    "json_object('agent', ",
    wire!("status"),
    ", 'version', json_object('generation', generation, 'revision', revision), \
     'deleted_at', deleted_at)"
);

/// The row of a name, a tombstone included.
pub async fn get(db: &Db, repo: &Repo, name: &AgentName) -> Result<Option<Row>, ApiError> {
    let sql = format!("SELECT {ROW} AS row FROM agents WHERE repo = ?1 AND name = ?2");
    db.first(&sql, &binds! { repo.as_str(), name.as_str() }).await
}

/// Writes `next`, with its entry in the audit log, if the row is still `before` (none: no
/// row at all); `false` if another change was faster. A change of `last_seen` alone never
/// conflicts with another one.
pub async fn replace(
    db: &Db,
    before: Option<&Row>,
    next: &Row,
    entry: Option<&Entry>,
) -> Result<bool, ApiError> {
    const SQL: &str = "INSERT INTO agents (repo, name, id, type, location, owner, status, endpoint, \
         delivery, delivery_reason, instance, metadata, last_seen, created_at, generation, revision, \
         deleted_at, closing) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
         ?15, ?16, CAST(?17 AS INTEGER), ?17 IS NOT NULL) \
         ON CONFLICT (repo, name) DO UPDATE SET id = excluded.id, type = excluded.type, \
         location = excluded.location, owner = excluded.owner, status = excluded.status, \
         endpoint = excluded.endpoint, \
         delivery = iif(excluded.generation = agents.generation AND excluded.endpoint = agents.endpoint, \
           agents.delivery, excluded.delivery), \
         delivery_reason = iif(excluded.generation = agents.generation AND excluded.endpoint = agents.endpoint, \
           agents.delivery_reason, excluded.delivery_reason), instance = excluded.instance, \
         metadata = excluded.metadata, last_seen = excluded.last_seen, \
         created_at = excluded.created_at, generation = excluded.generation, \
         revision = excluded.revision, deleted_at = excluded.deleted_at, closing = excluded.closing \
         WHERE agents.generation = ?18 AND agents.revision = ?19 AND agents.last_seen = ?20 \
         AND agents.status = ?21 AND agents.metadata = ?22 RETURNING '1' AS row";
    if let Some(before) = before.filter(|before| !registry::differs(before, next)) {
        return touch(db, before, next.agent.last_seen.0, entry).await;
    }
    let agent = &next.agent;
    let deleted_at = next.deleted_at.map(|at| at.to_string());
    let old = before.map(|row| (row.version, row.agent.last_seen.0, row.agent.status.as_str()));
    // No row has the generation 0: without `before`, only an insert succeeds.
    let (version, last_seen, status) =
        old.unwrap_or((Version { generation: 0, revision: 0 }, 0, ""));
    let old_metadata =
        before.map_or(Ok(String::new()), |row| serde_json::to_string(&row.agent.metadata))?;
    let change = db.prepare(
        SQL,
        &binds! {
            agent.repo.as_str(), agent.name.as_str(), agent.id.as_str(), &agent.r#type,
            agent.location.as_str(), agent.owner.as_str(), agent.status.as_str(), &agent.endpoint,
            agent.delivery.as_str(), agent.delivery_reason.as_deref(), agent.instance.as_deref(),
            &serde_json::to_string(&agent.metadata)?, agent.last_seen.0, agent.created_at.0,
            next.version.generation, next.version.revision, deleted_at.as_deref(),
            version.generation, version.revision, last_seen, status, &old_metadata,
        },
    )?;
    audit::execute_recorded(db, change, entry).await
}

/// Notes that the incarnation of `row` was seen, unless its row was replaced.
async fn touch(db: &Db, row: &Row, seen: Ms, entry: Option<&Entry>) -> Result<bool, ApiError> {
    let sql = "UPDATE agents SET last_seen = max(last_seen, ?5) WHERE repo = ?1 AND name = ?2 \
         AND generation = ?3 AND revision = ?4 AND deleted_at IS NULL RETURNING '1' AS row";
    let binds = binds! {
        row.agent.repo.as_str(), row.agent.name.as_str(), row.version.generation,
        row.version.revision, seen,
    };
    audit::execute_recorded(db, db.prepare(sql, &binds)?, entry).await
}

#[derive(Debug, Default)]
pub struct Filter {
    pub r#type: Option<String>,
    pub location: Option<Location>,
    /// Only this status, as reported.
    pub status: Option<AgentStatus>,
    pub owner: Option<String>,
}

/// Bytes of metadata in one page of a list: a page is one value, which has at most 2 MB in
/// D1.
const PAGE_BYTES: u32 = 512 * 1024;

/// Agents by name, at most `limit`, after the given name: a JSON array, and the
/// last name if more follow. An agent that was not seen since `unseen_before`
/// counts as stopped.
pub async fn list(
    db: &Db,
    repo: &Repo,
    filter: &Filter,
    unseen_before: Ms,
    limit: u32,
    after: &str,
) -> Result<(String, Option<String>), ApiError> {
    let sql = format!(
        "WITH found AS (SELECT * FROM agents WHERE repo = ?1 AND name > ?2 AND deleted_at IS NULL \
         AND (?3 IS NULL OR type = ?3) AND (?4 IS NULL OR location = ?4) \
         AND (?5 IS NULL OR owner = ?5) \
         AND (?6 IS NULL OR ?6 = iif(last_seen <= ?7 AND delivery <> 'stream', 'stopped', status)) \
         ORDER BY name LIMIT ?8 + 1), \
         sized AS (SELECT *, row_number() OVER names AS place, \
           sum(octet_length(metadata)) OVER names - octet_length(metadata) AS before \
           FROM found WINDOW names AS (ORDER BY name)) \
         SELECT json_array(iif((SELECT count(*) FROM found) > count(*), max(name), NULL), \
         coalesce('[' || group_concat({LISTED}, ',' ORDER BY name) || ']', '[]')) AS row \
         FROM sized WHERE place <= ?8 AND before <= {PAGE_BYTES}"
    );
    let binds = binds! {
        repo.as_str(), after, filter.r#type.as_deref(), filter.location.map(Location::as_str),
        filter.owner.as_deref(), filter.status.map(AgentStatus::as_str), unseen_before, limit,
    };
    db.page(&sql, &binds).await
}

/// The holder of a name.
#[derive(Debug, Clone, Deserialize)]
pub struct Holder {
    pub id: AgentId,
    /// Whose agent it is.
    pub owner: Owner,
}

/// The holder of a name, if an agent has it.
pub async fn holder(db: &Db, repo: &Repo, name: &AgentName) -> Result<Option<Holder>, ApiError> {
    let sql = "SELECT json_object('id', id, 'owner', owner) AS row FROM agents \
         WHERE repo = ?1 AND name = ?2 AND deleted_at IS NULL";
    let binds = binds! { repo.as_str(), name.as_str() };
    db.first(sql, &binds).await
}

/// Marks the mailbox of this tombstone as closed.
pub async fn mark_closed(
    db: &Db,
    repo: &Repo,
    name: &AgentName,
    version: Version,
) -> Result<(), ApiError> {
    let sql = "UPDATE agents SET closing = 0 \
         WHERE repo = ?1 AND name = ?2 AND generation = ?3 AND revision = ?4";
    let binds = binds! { repo.as_str(), name.as_str(), version.generation, version.revision };
    db.execute(sql, &binds).await
}

/// Tombstones older than `before` whose mailbox may still be open.
pub async fn pending_close(db: &Db, before: Ms, limit: u32) -> Result<Vec<Row>, ApiError> {
    let sql = format!(
        "SELECT json_group_array({ROW}) AS row FROM (SELECT * FROM agents \
         WHERE closing = 1 AND deleted_at <= ?1 ORDER BY deleted_at LIMIT ?2)"
    );
    let binds = binds! { before, limit };
    Ok(db.first(&sql, &binds).await?.unwrap_or_default())
}

/// An owner's agent of a type: preferably one with an open stream, else the one that was
/// last seen.
pub async fn agent_of_type(
    db: &Db,
    repo: &Repo,
    r#type: &str,
    owner: &Owner,
) -> Result<Option<AgentRef>, ApiError> {
    let sql = "SELECT json_object('name', name, 'id', id) AS row FROM agents WHERE repo = ?1 \
         AND type = ?2 AND owner = ?3 AND deleted_at IS NULL \
         ORDER BY delivery = 'stream' DESC, last_seen DESC LIMIT 1";
    let binds = binds! { repo.as_str(), r#type, owner.as_str() };
    db.first(sql, &binds).await
}
