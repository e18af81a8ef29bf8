//! Whoever asked for a worker is told of its end, by a message from `system`,
//! unless it is the end that its requester wished by cancelling it.
//!
//! What is still to be told is a column of the request, drained after the
//! request that ended it and by the scheduled handler, under one idempotency
//! key: a crash strands no notice and doubles none.

use crate::clock;
use crate::log;
use crate::mailbox::Command;
use crate::mailbox::command::{Send, wire_fields};
use crate::mailbox::{Door, Refused};
use crate::store::outgoing::{self as store, Addressee};
use crate::store::spawns::Row;
use crate::store::{Db, agents};
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::spawn::{SpawnStatus, SpawnedBy};
use serde_json::json;
use worker::Env;

/// Notices of one drain.
const BATCH: u32 = 20;

/// Tells everybody who has not been told, in one repo or in all.
pub async fn tell(env: &Env, repo: Option<&Repo>) {
    if let Err(cause) = drain(env, repo).await {
        log::fault("tell_requester", &cause.to_string());
    }
}

async fn drain(env: &Env, repo: Option<&Repo>) -> Result<(), Refused> {
    let db = Db::new(env)?;
    for row in store::unnotified(&db, repo, BATCH).await? {
        if let Some(addressee) = addressee(&db, &row).await? {
            match send(env, &row, &addressee).await {
                Ok(()) | Err(Refused::AgentNotFound | Refused::Superseded) => {}
                Err(refused) => {
                    log::fault("tell_requester", &refused.to_string());
                    continue;
                }
            }
        }
        store::notified(&db, &row.id, clock::now()).await?;
    }
    Ok(())
}

/// The agent to tell; a person has no mailbox and reads the request.
async fn addressee(db: &Db, row: &Row) -> Result<Option<Addressee>, Refused> {
    if row.cancelled_by_requester() {
        return Ok(None);
    }
    match SpawnedBy::parse(&row.spawned_by) {
        Ok(SpawnedBy::Agent(name)) => {
            let holder = agents::holder(db, &row.repo, &name).await?;
            Ok(holder.map(|holder| Addressee { name, id: holder.id }))
        }
        Ok(SpawnedBy::Role(role, _)) if role == "user" => Ok(None),
        Ok(SpawnedBy::Role(role, owner)) => {
            Ok(store::agent_of_type(db, &row.repo, &role, &owner).await?)
        }
        Err(_) => Ok(None),
    }
}

async fn send(env: &Env, row: &Row, to: &Addressee) -> Result<(), Refused> {
    let worker = row.worker_name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let body = match row.status {
        SpawnStatus::Completed => {
            format!(
                "The worker you asked for{worker} has completed: {}",
                row.summary.as_deref().unwrap_or("no summary")
            )
        }
        _ => format!(
            "The worker you asked for{worker} has failed: {}",
            row.failure_reason.as_deref().unwrap_or("no reason was given")
        ),
    };
    let fields = wire_fields(&json!({
        "from": "system", "from_owner": "system", "to": to.name, "repo": row.repo,
        "body": format!("{body}\n{}", row.id),
        "metadata": { "event": "worker.ended", "worker": row.id, "status": row.status },
    }))?;
    let scope = format!("worker|{}", row.id);
    let command = Command::Send(Send {
        sender: None,
        key: Some((scope.clone(), scope)),
        ttl_secs: None,
        notice_for: Some(to.id.clone()),
    });
    let mut response = Door::of(env, &row.repo, &to.name)?.send(&command, &fields).await?;
    if response.status_code() == 409 {
        return Err(Refused::read(&response.text().await?));
    }
    Ok(())
}
