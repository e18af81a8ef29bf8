//! What leaves after an answer: requests for workers to be pushed, ends of
//! workers to be told. Both are columns in D1 and drained idempotently.

use crate::context::Context;
use crate::store::{Db, spawns};
use crate::{log, requester, spawner};
use multiclaude_hybrid_protocol::Repo;
use worker::Env;

/// Drains a repo after the answer of a request that made something to drain.
pub fn drain_later(context: &Context, repo: &Repo) {
    let (env, repo) = (context.env.clone(), repo.clone());
    context.after_answer(async move { drain(&env, Some(&repo)).await });
}

/// The same after a read, which may find what a crash has left: one D1
/// statement where there is nothing.
pub fn look_later(context: &Context, repo: &Repo) {
    let (env, repo) = (context.env.clone(), repo.clone());
    context.after_answer(async move {
        let found = match Db::new(&env) {
            Ok(db) => spawns::has_outgoing(&db, &repo).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(true) => drain(&env, Some(&repo)).await,
            Ok(false) => {}
            Err(error) => log::fault("outgoing", &error.to_string()),
        }
    });
}

/// Drains one repo, or all.
pub async fn drain(env: &Env, repo: Option<&Repo>) {
    spawner::push(env, repo).await;
    requester::tell(env, repo).await;
}
