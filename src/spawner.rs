//! Requests for workers are pushed to the repo's `spawn_endpoint`, by the
//! mailbox `owner/repo/@spawn`: the class, the retries and the signatures of
//! messages.
//!
//! What that mailbox does not have yet is a column: of the configuration, the
//! version that it has confirmed, and of a request, when it was handed over.
//! Both are drained after the request that made them, by reads and by the
//! scheduled handler, and handing over again changes nothing, so a crash
//! strands and doubles nothing.

use crate::mailbox::Command;
use crate::mailbox::command::Send;
use crate::mailbox::{Door, Refused};
use crate::store::callbacks::HOLDER;
use crate::store::spawns::Row;
use crate::store::{Db, configs, outgoing as store};
use crate::{clock, log, repo_secrets, settings};
use multiclaude_hybrid_core::mailbox::Configuration;
use multiclaude_hybrid_core::registry::Version;
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentId, Owner, Repo, Timestamp};
use worker::Env;

/// Configurations and requests of one drain.
const BATCH: u32 = 20;

/// Hands over what waits, in one repo or in all. A fault is logged; the next
/// drain tries again.
pub async fn push(env: &Env, repo: Option<&Repo>) {
    if let Err(refused) = drain(env, repo).await {
        log::fault("spawn_push", &refused.to_string());
    }
}

async fn drain(env: &Env, repo: Option<&Repo>) -> Result<(), Refused> {
    let db = Db::new(env)?;
    for repo in configs::unsettled(&db, repo, BATCH).await? {
        if let Err(refused) = configure(env, &db, &repo).await {
            log::fault("spawn_push", &format!("{repo}: {refused}"));
        }
    }
    for row in store::unpushed(&db, repo, BATCH).await? {
        match hand_over(env, &row).await {
            Ok(()) => store::pushed(&db, &row, clock::now()).await?,
            Err(refused) => log::fault("spawn_push", &format!("{}: {refused}", row.id)),
        }
    }
    Ok(())
}

/// Tells the mailbox where to push and how to sign. Versions order what it is
/// told, so an older telling that comes late changes nothing.
async fn configure(env: &Env, db: &Db, repo: &Repo) -> Result<(), Refused> {
    let settings = settings::get(env)?;
    let stored = configs::get(db, repo).await?;
    let endpoint = Some(stored.config.spawn_endpoint.clone()).filter(|url| !url.is_empty());
    let secret = repo_secrets::newest(&settings.keys, &stored);
    let command = Command::Configure {
        wish: Configuration {
            agent_id: AgentId::new(Timestamp(0), [0; 10]),
            owner: Owner::parse(HOLDER)
                .map_err(|error| Refused::Broken { cause: error.to_string() })?,
            version: Version { generation: 1, revision: stored.version },
            endpoint,
            // The whole configuration is given each time, its endpoint with it.
            sets_endpoint: true,
        },
        secret: secret.as_ref().map(Secret::reveal),
        rotate: false,
    };
    match ask(env, repo, &command, "").await {
        Ok(()) | Err(Refused::Stale) => {}
        Err(refused) => return Err(refused),
    }
    Ok(configs::settled(db, repo, stored.version).await?)
}

async fn hand_over(env: &Env, row: &Row) -> Result<(), Refused> {
    // A request that came back is pushed anew, and must not look like a repeat.
    let id = match row.claims {
        0 => row.id.to_string(),
        claims => format!("{}_{claims}", row.id),
    };
    let command = Command::Send(Send {
        sender: None,
        key: Some((format!("spawn|{id}"), String::new())),
        ttl_secs: None,
        notice_for: None,
    });
    let wire = row.wire.strip_prefix('{').and_then(|wire| wire.strip_suffix('}'));
    let fragment = format!("\"webhook_id\":\"{id}\",{}", wire.unwrap_or_default());
    ask(env, &row.repo, &command, &fragment).await
}

async fn ask(env: &Env, repo: &Repo, command: &Command, fragment: &str) -> Result<(), Refused> {
    let mut response = Door::of_spawns(env, repo)?.send(command, fragment).await?;
    if response.status_code() == 409 {
        return Err(Refused::read(&response.text().await?));
    }
    Ok(())
}
