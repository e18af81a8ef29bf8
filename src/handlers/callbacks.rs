//! Callbacks: what the endpoint that requests for workers are pushed to
//! reports. Instead of a token, they carry a Standard Webhooks signature under
//! the repo's secret.

use super::workers::{lease_lost, not_found, spawn_id};
use super::{Handled, text};
use crate::context::Context;
use crate::error::ApiError;
use crate::store::audit::{Entry, Source};
use crate::store::{callbacks as store, configs, spawns};
use crate::{body, outgoing, random, repo_secrets};
use multiclaude_hybrid_protocol::audit::{ActorKind, AuditAction};
use multiclaude_hybrid_protocol::callback::{Callback, Event};
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::fields::Fields;
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use multiclaude_hybrid_protocol::webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, verify};
use multiclaude_hybrid_protocol::{AuditId, ErrorCode, Repo, Timestamp};

/// Characters of a `webhook-id`.
const ID_MAX: usize = 255;

/// `POST …/workers/{id}/callback`: starts, renews or ends what was pushed.
pub async fn take(mut context: Context) -> Handled {
    let (repo, id) = (context.repo()?, spawn_id(&context)?);
    let body = body::text(&mut context.request).await?;
    let webhook_id = verified(&context, &repo, &body).await?;
    let callback = Callback::from_fields(Fields::parse(body.as_bytes())?);
    let callback = callback.map_err(ApiError::fields)?;
    if callback.id != id {
        let fault = FieldError::new("data.id", "must be the id in the path");
        return Err(ApiError::fields(vec![fault]));
    }
    let entry = entry(&context, &repo, &callback, &webhook_id)?;
    let ends = context.now + callback.lease_secs * context.settings.timing.second;
    let (db, now) = (context.db()?, context.now);
    let taken = store::take(db, &repo, &callback, &webhook_id, ends, entry.as_ref(), now).await?;
    if let Some(row) = taken {
        if row.status != SpawnStatus::InProgress {
            outgoing::drain_later(&context, &repo);
        }
        return text(200, row.wire);
    }
    if store::taken(db, &repo, &webhook_id).await? {
        return Err(ApiError::new(
            ErrorCode::CallbackReplayed,
            "A callback of this webhook-id was taken already: this one changed nothing. If it is a \
             repeat of your own, all is well; a new report needs a new webhook-id.",
        ));
    }
    spawns::get(db, &repo, &id).await?.ok_or_else(not_found)?;
    Err(lease_lost())
}

/// The `webhook-id` of a callback whose signature fits. Whatever does not fit,
/// and whatever is missing, the answer is the same.
async fn verified(context: &Context, repo: &Repo, body: &str) -> Result<String, ApiError> {
    let headers = context.request.headers();
    let header = |name| headers.get(name).map(Option::unwrap_or_default);
    let id = header(HEADER_ID)?;
    let (timestamp, signature) = (header(HEADER_TIMESTAMP)?, header(HEADER_SIGNATURE)?);
    let now_secs = context.now.div_euclid(1000);
    let plausible = (1..=ID_MAX).contains(&id.len()) && !signature.is_empty();
    if let Some(timestamp) = timestamp.parse().ok().filter(|_| plausible) {
        let stored = configs::get(context.db()?, repo).await?;
        let secrets = repo_secrets::valid(&context.settings.keys, &stored, context.now);
        if verify(&secrets, &id, timestamp, body, &signature, now_secs).is_ok() {
            return Ok(id);
        }
    }
    Err(ApiError::new(
        ErrorCode::InvalidSignature,
        "A callback is signed as a Standard Webhook (webhook-id, webhook-timestamp, \
         webhook-signature) under the webhook_secret of the repo's config, at most five minutes \
         ago. Check the secret, the clock, and that the body is sent as it was signed.",
    ))
}

fn entry(
    context: &Context,
    repo: &Repo,
    callback: &Callback,
    webhook_id: &str,
) -> Result<Option<Entry>, ApiError> {
    let action = match callback.event {
        Event::Started => AuditAction::WorkerStarted,
        Event::Progress => return Ok(None),
        Event::Completed => AuditAction::WorkerCompleted,
        Event::Failed => AuditAction::WorkerFailed,
    };
    Ok(Some(Entry {
        id: AuditId::new(Timestamp(context.now), random::bytes()?),
        at: context.now,
        repo: repo.as_str().to_owned(),
        token_id: webhook_id.to_owned(),
        kind: ActorKind::Callback,
        owner: store::HOLDER.to_owned(),
        action,
        subject: callback.id.as_str().to_owned(),
        detail: None,
        scopes: None,
        source: Source::Said,
    }))
}
