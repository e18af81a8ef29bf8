//! Runs every minute: closes mailboxes that a crash left open after their agent was
//! deregistered, expires leases that no request has checked, drains the outbox of requests
//! for workers, and deletes old requests, callbacks and entries of the audit log. A
//! mailbox's own alarm does everything else.

use crate::error::ApiError;
use crate::mailbox::{Command, Door, Refused};
use crate::spawns::outbox::{self, Made};
use crate::store::spawns::{self, callbacks, leases};
use crate::store::{Db, agents, audit};
use crate::{clock, log, random, settings};
use multiclaude_hybrid_core::registry::Row;
use multiclaude_hybrid_protocol::{AuditId, Timestamp};
use worker::Env;

/// How long a signed callback could be replayed, in ms, with a margin.
const KEEP_SIGNATURES: i64 = 15 * 60 * 1000;
/// Tombstones whose mailbox is closed in one run.
const BATCH: u32 = 50;

/// One run. A fault is logged; the next run tries again.
pub async fn run(env: &Env) {
    for result in [close_left_open(env).await, clean_up(env).await] {
        if let Err(error) = result {
            log::fault("cron", &error.to_string());
        }
    }
    outbox::drain(env, None, Made::Both).await;
}

/// Expires leases, and deletes old rows.
async fn clean_up(env: &Env) -> Result<(), ApiError> {
    let settings = settings::get(env)?;
    let (db, timing) = (Db::new(env)?, &settings.timing);
    let now = clock::now();
    leases::expire(&db, None, now, timing).await?;
    spawns::purge(&db, now - timing.keep_spawns).await?;
    // As long as a message's key: an outbox may repeat for days. After five minutes, which
    // TIME_SCALE does not divide, the timestamp refuses a repeat of the same signature.
    let keep = timing.keep_keys.max(KEEP_SIGNATURES);
    callbacks::purge(&db, now - keep).await?;
    let before = AuditId::new(Timestamp(now - timing.keep_audit), random::bytes()?);
    audit::purge(&db, &before).await
}

async fn close_left_open(env: &Env) -> Result<(), ApiError> {
    let settings = settings::get(env)?;
    let db = Db::new(env)?;
    // A deregistration that is under way closes its own mailbox.
    let before = clock::now() - settings.timing.seen_grain;
    for tombstone in agents::pending_close(&db, before, BATCH).await? {
        if let Err(error) = close(env, &db, &tombstone).await {
            log::fault("close", &format!("{}: {error}", tombstone.agent.name));
        }
    }
    Ok(())
}

async fn close(env: &Env, db: &Db, tombstone: &Row) -> Result<(), ApiError> {
    let agent = &tombstone.agent;
    let door = Door::of(env, &agent.repo, &agent.name)?;
    match door.execute(&Command::close(tombstone), "").await {
        // A newer incarnation has the mailbox: this one is closed.
        Ok(()) | Err(Refused::Stale) => {
            agents::mark_closed(db, &agent.repo, &agent.name, tombstone.version).await
        }
        Err(refused) => Err(refused.into()),
    }
}
