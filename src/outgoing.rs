//! What leaves after an answer: requests for workers to be pushed, ends of
//! workers to be told. Both are columns in D1 and drained idempotently.

use crate::context::Context;
use crate::store::{Db, outgoing as store};
use crate::{log, requester, spawner};
use multiclaude_hybrid_protocol::Repo;
use worker::Env;

/// What a request has made, and so what is drained after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A request for a worker, or where such are pushed.
    Push,
    /// An end.
    End,
    /// Both, perhaps: leases have ended.
    Both,
    /// Nothing; but a crash may have left something. One D1 statement tells.
    Unknown,
}

/// Drains a repo after the answer.
pub fn drain_later(context: &Context, repo: &Repo, made: Made) {
    let (env, repo) = (context.env.clone(), repo.clone());
    context.after_answer(async move {
        if made != Made::Unknown || has_outgoing(&env, &repo).await {
            drain(&env, Some(&repo), made).await;
        }
    });
}

async fn has_outgoing(env: &Env, repo: &Repo) -> bool {
    let found = match Db::new(env) {
        Ok(db) => store::has_outgoing(&db, repo).await,
        Err(error) => Err(error),
    };
    found.unwrap_or_else(|error| {
        log::fault("outgoing", &error.to_string());
        false
    })
}

/// Drains one repo, or all.
pub async fn drain(env: &Env, repo: Option<&Repo>, made: Made) {
    if made != Made::End {
        spawner::push(env, repo).await;
    }
    if made != Made::Push {
        requester::tell(env, repo).await;
    }
}
