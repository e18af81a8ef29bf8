//! Drains the outbox after an answer, or every minute: pushes requests for workers, and
//! notifies requesters of ends. Both are columns in D1, so a crash neither loses nor
//! repeats an entry.

use super::{handover, notices};
use crate::context::Context;
use crate::log;
use crate::store::Db;
use crate::store::spawns::outbox as store;
use multiclaude_hybrid_protocol::Repo;
use worker::Env;

/// The outbox entries that an API request has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A request for a worker, or a new configuration.
    Push,
    /// An end.
    End,
    /// Perhaps both: leases have ended.
    Both,
    /// None, but a crash may have left some: one D1 statement checks.
    Unknown,
}

/// Drains a repo's outbox after the answer.
pub fn drain_later(context: &Context, repo: &Repo, made: Made) {
    let (env, repo) = (context.env.clone(), repo.clone());
    context.after_answer(async move {
        if made != Made::Unknown || has_any(&env, &repo).await {
            drain(&env, Some(&repo), made).await;
        }
    });
}

async fn has_any(env: &Env, repo: &Repo) -> bool {
    let found = async { store::has_any(&Db::new(env)?, repo).await };
    found.await.unwrap_or_else(|error| {
        log::fault("outbox", &error.to_string());
        false
    })
}

/// Drains the outbox of one repo, or of all. A fault is logged; the next drain tries again.
pub async fn drain(env: &Env, repo: Option<&Repo>, made: Made) {
    if made != Made::End
        && let Err(error) = handover::drain(env, repo).await
    {
        log::fault("spawn_push", &error.to_string());
    }
    if made != Made::Push
        && let Err(error) = notices::drain(env, repo).await
    {
        log::fault("spawn_notice", &error.to_string());
    }
}
