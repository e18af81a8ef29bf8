//! Hands requests for workers over to the mailbox `owner/repo/@spawn`, which pushes them
//! to the repo's `spawn_endpoint` as other mailboxes push messages: the same class, the
//! same retries and signatures.
//!
//! A configuration is not handed over yet if its `pushing_version`, the last one that the
//! mailbox has confirmed, is not its version; a request, if it has no `pushed_at`.

use crate::error::ApiError;
use crate::mailbox::{Command, Door, Refused};
use crate::store::spawns::callbacks::HOLDER;
use crate::store::spawns::{Row, outbox};
use crate::store::{Db, configs};
use crate::{clock, log, settings};
use multiclaude_hybrid_core::mailbox::{ConfigureRequest, Kind};
use multiclaude_hybrid_core::registry::Version;
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentId, Owner, Repo, Timestamp};
use worker::Env;

/// Configurations, and requests, per drain.
const BATCH: u32 = 20;

/// Hands over pending configurations and requests, of one repo or of all.
pub(super) async fn drain(env: &Env, repo: Option<&Repo>) -> Result<(), ApiError> {
    let db = Db::new(env)?;
    for repo in configs::unconfirmed(&db, repo, BATCH).await? {
        if let Err(error) = configure(env, &db, &repo).await {
            log::fault("spawn_push", &format!("{repo}: {error}"));
        }
    }
    for row in outbox::not_handed_over(&db, repo, BATCH).await? {
        match hand_over(env, &row).await {
            Ok(()) => outbox::handed_over(&db, &row, clock::now()).await?,
            Err(refused) => log::fault("spawn_push", &format!("{}: {refused}", row.id)),
        }
    }
    Ok(())
}

/// Configures endpoint and secret of the mailbox. Versions order the configurations, so a
/// late one changes nothing.
async fn configure(env: &Env, db: &Db, repo: &Repo) -> Result<(), ApiError> {
    let settings = settings::get(env)?;
    let stored = configs::get(db, repo).await?;
    let endpoint = Some(stored.config.spawn_endpoint.clone()).filter(|url| !url.is_empty());
    let secret = stored.newest_secret(&settings.keys);
    let command = Command::Configure {
        request: ConfigureRequest {
            kind: Some(Kind::Spawns),
            agent_id: AgentId::new(Timestamp(0), [0; 10]),
            owner: Owner::parse(HOLDER).map_err(ApiError::internal)?,
            version: Version { generation: 1, revision: stored.version },
            endpoint,
            // A PUT always sets the endpoint.
            sets_endpoint: true,
        },
        secret: secret.as_ref().map(Secret::reveal),
        rotate: false,
    };
    match Door::of_spawns(env, repo)?.execute(&command, "").await {
        Ok(()) | Err(Refused::Stale) => configs::confirmed(db, repo, stored.version).await,
        Err(refused) => Err(refused.into()),
    }
}

async fn hand_over(env: &Env, row: &Row) -> Result<(), Refused> {
    let command = Command::StoreSpawn { push_id: row.push_id().to_string() };
    let fields = row.wire.strip_prefix('{').and_then(|wire| wire.strip_suffix('}'));
    Door::of_spawns(env, &row.repo)?.execute(&command, fields.unwrap_or_default()).await
}
