//! What is done every minute, whoever calls: mailboxes that a crash left open
//! after their agent was deregistered are closed; leases that nobody looked at
//! expire; requests for workers are pushed and their ends told, where a crash
//! left that; old requests, callbacks and entries of the audit log go.
//!
//! What a mailbox can do by itself is done by its own alarm instead.

use crate::error::ApiError;
use crate::mailbox::{Command, Door, Refused};
use crate::store::{Db, agents as store, audit, callbacks, leases, spawns};
use crate::{clock, log, outgoing, random, settings};
use multiclaude_hybrid_core::registry::Row;
use multiclaude_hybrid_protocol::{AuditId, Timestamp};
use worker::Env;

/// How long a signed callback could be played back, in ms, with a margin.
const KEEP_SIGNATURES: i64 = 15 * 60 * 1000;
/// Tombstones looked after in one run.
const BATCH: u32 = 50;

/// One run. A fault is logged; the next run tries again.
pub async fn run(env: &Env) {
    for result in [close_left_open(env).await, told(look_after_d1(env).await)] {
        if let Err(cause) = result {
            log::fault("cron", &cause);
        }
    }
    outgoing::drain(env, None, outgoing::Made::Both).await;
}

fn told(result: Result<(), ApiError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

/// Leases expire, and what need not be kept any longer goes.
async fn look_after_d1(env: &Env) -> Result<(), ApiError> {
    let settings = settings::get(env)?;
    let (db, timing) = (Db::new(env)?, &settings.timing);
    let now = clock::now();
    leases::expire(&db, None, now, timing).await?;
    spawns::purge(&db, now - timing.keep_spawns).await?;
    // As long as the key of a message: an outbox may repeat for days. A repeat of
    // the same signature is refused by its timestamp after five minutes, which
    // no scale divides.
    let keep = timing.keep_keys.max(KEEP_SIGNATURES);
    callbacks::purge(&db, now - keep).await?;
    let before = AuditId::new(Timestamp(now - timing.keep_audit), random::bytes()?);
    audit::purge(&db, &before).await
}

async fn close_left_open(env: &Env) -> Result<(), String> {
    let settings = settings::get(env).map_err(|error| error.to_string())?;
    let db = Db::new(env).map_err(|error| error.to_string())?;
    // A deregistration that is under way closes its mailbox by itself.
    let before = clock::now() - settings.timing.seen_grain;
    let graves = store::unclosed(&db, before, BATCH).await.map_err(|error| error.to_string())?;
    for grave in graves {
        if let Err(cause) = close(env, &db, &grave).await {
            log::fault("close", &cause);
        }
    }
    Ok(())
}

async fn close(env: &Env, db: &Db, grave: &Row) -> Result<(), String> {
    let agent = &grave.agent;
    let command = Command::close(grave);
    let door = Door::of(env, &agent.repo, &agent.name).map_err(|error| error.to_string())?;
    let mut response = door.send(&command, "").await.map_err(|error| error.to_string())?;
    let text = response.text().await.map_err(|error| error.to_string())?;
    // Where a newer incarnation has the mailbox, this one is closed, too.
    let stale = matches!(Refused::read(&text), Refused::Stale);
    if response.status_code() == 409 && !stale {
        return Err(format!("{} did not close: {text}", agent.name));
    }
    let done = store::closed(db, &agent.repo, &agent.name, grave.version).await;
    done.map_err(|error| error.to_string())
}
