//! What is done every minute, whoever calls: mailboxes that a crash left open
//! after their agent was deregistered are closed; leases that nobody looked at
//! expire; requesters are told of ends; old requests go.
//!
//! What a mailbox can do by itself is done by its own alarm instead.

use crate::mailbox::{Command, Refused, command::Door};
use crate::store::{Db, agents as store, leases, spawns};
use crate::{clock, log, requester, settings};
use multiclaude_hybrid_core::registry::Row;
use worker::Env;

/// Tombstones looked after in one run.
const BATCH: u32 = 50;

/// One run. A fault is logged; the next run tries again.
pub async fn run(env: &Env) {
    for result in [close_left_open(env).await, look_after_spawns(env).await] {
        if let Err(cause) = result {
            log::fault("cron", &cause);
        }
    }
    requester::tell(env, None).await;
}

async fn look_after_spawns(env: &Env) -> Result<(), String> {
    let settings = settings::get(env).map_err(|error| error.to_string())?;
    let db = Db::new(env).map_err(|error| error.to_string())?;
    let now = clock::now();
    let expired = leases::expire(&db, None, now, &settings.timing).await;
    expired.map_err(|error| error.to_string())?;
    let purged = spawns::purge(&db, now - settings.timing.keep_spawns).await;
    purged.map_err(|error| error.to_string())
}

async fn close_left_open(env: &Env) -> Result<(), String> {
    let settings = settings::get(env).map_err(|error| error.to_string())?;
    let db = Db::new(env).map_err(|error| error.to_string())?;
    // A deregistration that is under way closes its mailbox by itself.
    let before = clock::now() - settings.timing.seen_grain;
    let graves = store::unclosed(&db, before, BATCH)
        .await
        .map_err(|error| error.to_string())?;
    for grave in graves {
        if let Err(cause) = close(env, &db, &grave).await {
            log::fault("close", &cause);
        }
    }
    Ok(())
}

async fn close(env: &Env, db: &Db, grave: &Row) -> Result<(), String> {
    let agent = &grave.agent;
    let command = Command::Close {
        agent_id: agent.id.clone(),
        owner: agent.owner.clone(),
        version: grave.version,
    };
    let door = Door::of(env, &agent.repo, &agent.name).map_err(|error| error.to_string())?;
    let mut response = door
        .send(&command, "")
        .await
        .map_err(|error| error.to_string())?;
    let text = response.text().await.map_err(|error| error.to_string())?;
    // Where a newer incarnation has the mailbox, this one is closed, too.
    let stale = matches!(serde_json::from_str(&text), Ok(Refused::Stale));
    if response.status_code() == 409 && !stale {
        return Err(format!("{} did not close: {text}", agent.name));
    }
    let done = store::closed(db, &agent.repo, &agent.name, grave.version).await;
    done.map_err(|error| error.to_string())
}
