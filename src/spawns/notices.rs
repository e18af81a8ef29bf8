//! Notifies requesters of the end of their workers, by a message from `system`, unless a
//! requester has cancelled its own.
//!
//! A request has a column for the time of its notice, and the notice has one idempotency
//! key: a crash neither loses nor repeats a notice.

use crate::error::ApiError;
use crate::mailbox::{Door, Refused};
use crate::store::spawns::{Row, outbox};
use crate::store::{Db, agents};
use crate::{clock, log};
use multiclaude_hybrid_core::mailbox::AgentRef;
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::spawn::{SpawnStatus, SpawnedBy};
use serde_json::json;
use worker::Env;

/// Notices per drain.
const BATCH: u32 = 20;

/// Sends the notices that are due, in one repo or in all.
pub(super) async fn drain(env: &Env, repo: Option<&Repo>) -> Result<(), ApiError> {
    let db = Db::new(env)?;
    for row in outbox::unnotified(&db, repo, BATCH).await? {
        if let Some(addressee) = addressee(&db, &row).await?
            && let Err(refused) = send(env, &row, &addressee).await
        {
            log::fault("spawn_notice", &format!("{}: {refused}", row.id));
            continue;
        }
        outbox::notified(&db, &row.id, clock::now()).await?;
    }
    Ok(())
}

/// The agent to notify; a person has no mailbox, and reads the request instead.
async fn addressee(db: &Db, row: &Row) -> Result<Option<AgentRef>, ApiError> {
    if row.cancelled_by_requester() {
        return Ok(None);
    }
    match SpawnedBy::parse(&row.spawned_by) {
        Ok(SpawnedBy::Agent(name)) => {
            let holder = agents::holder(db, &row.repo, &name).await?;
            Ok(holder.map(|holder| AgentRef { name, id: holder.id }))
        }
        Ok(SpawnedBy::Role(role, _)) if role == "user" => Ok(None),
        Ok(SpawnedBy::Role(role, owner)) => {
            agents::agent_of_type(db, &row.repo, &role, &owner).await
        }
        Err(_) => Ok(None),
    }
}

async fn send(env: &Env, row: &Row, to: &AgentRef) -> Result<(), Refused> {
    let worker = row.worker_name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let (ended, why) = match row.status {
        SpawnStatus::Completed => ("completed", row.summary.as_deref().unwrap_or("no summary")),
        _ => ("failed", row.failure_reason.as_deref().unwrap_or("no reason was given")),
    };
    let body = format!("The worker you asked for{worker} has {ended}: {why}\n{}", row.id);
    let metadata = json!({ "event": "worker.ended", "worker": row.id, "status": row.status });
    Door::notify(env, &row.repo, to, format!("worker|{}", row.id), &body, metadata).await
}
