//! Callbacks: reports by the endpoint that requests for workers are pushed to. Instead of
//! a token, they carry a Standard Webhooks signature under the repo's secret.

use super::workers::{lease_lost, not_found};
use crate::answer::{Handled, text};
use crate::context::Context;
use crate::error::ApiError;
use crate::spawns::outbox::{self, Made};
use crate::store::audit::{Entry, Source};
use crate::store::spawns::callbacks as store;
use crate::store::{configs, spawns};
use crate::vault::Vault;
use crate::{body, random};
use multiclaude_hybrid_core::secrets::valid;
use multiclaude_hybrid_protocol::audit::{ActorKind, AuditAction};
use multiclaude_hybrid_protocol::body::Body;
use multiclaude_hybrid_protocol::callback::{Callback, Event};
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use multiclaude_hybrid_protocol::webhook::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, TOLERANCE_SECS, verify,
};
use multiclaude_hybrid_protocol::{AuditId, ErrorCode, Repo, SpawnId, Timestamp};

/// Characters of a `webhook-id`.
const ID_MAX: usize = 255;

/// The signed headers of a callback, not yet verified.
struct Claimed {
    webhook_id: String,
    timestamp: i64,
    signature: String,
}

/// `POST …/workers/{id}/callback`: starts, renews or ends a request that was pushed.
pub async fn take(mut context: Context, id: SpawnId) -> Handled {
    let repo = context.repo()?;
    // Check the headers first: an invalid callback must not cost a body or a D1 statement.
    let claimed = claimed(&context)?.ok_or_else(invalid_signature)?;
    let body = body::text(&mut context.request).await?;
    verify_body(&context, &repo, &claimed, &body).await?;
    let webhook_id = claimed.webhook_id;
    let callback = Callback::read(body.as_bytes())?;
    if callback.id != id {
        let fault = FieldError::new("data.id", "must be the id in the path");
        return Err(ApiError::fields(vec![fault]));
    }
    let entry = entry(&context, &repo, &callback, &webhook_id)?;
    let (db, now, timing) = (context.db()?, context.now, &context.settings.timing);
    let taken = store::take(db, &repo, &callback, &webhook_id, entry.as_ref(), now, timing).await?;
    if let Some(row) = taken {
        if row.status != SpawnStatus::InProgress {
            outbox::drain_later(&context, &repo, Made::End);
        }
        return text(200, row.wire);
    }
    Err(why_not(&context, &repo, &id, &webhook_id).await?)
}

/// Why a valid callback changed nothing.
async fn why_not(
    context: &Context,
    repo: &Repo,
    id: &SpawnId,
    webhook_id: &str,
) -> Result<ApiError, ApiError> {
    let db = context.db()?;
    if store::taken(db, repo, webhook_id).await? {
        return Ok(ApiError::new(
            ErrorCode::CallbackReplayed,
            "A callback with this webhook-id was received already: this one changed nothing. A new \
             report needs a new webhook-id.",
        ));
    }
    spawns::get(db, repo, id).await?.ok_or_else(not_found)?;
    Ok(lease_lost())
}

/// The headers of a callback, if they are well-formed and recent.
fn claimed(context: &Context) -> Result<Option<Claimed>, ApiError> {
    let headers = context.request.headers();
    let header = |name| headers.get(name).map(Option::unwrap_or_default);
    let (webhook_id, signature) = (header(HEADER_ID)?, header(HEADER_SIGNATURE)?);
    // A dot would make the end of the id ambiguous in the signed text.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let well_formed = (1..=ID_MAX).contains(&webhook_id.len()) && webhook_id.bytes().all(allowed);
    let now_secs = context.now.div_euclid(1000);
    let text = header(HEADER_TIMESTAMP)?;
    let timestamp = text.parse::<i64>().ok().filter(|at| at.to_string() == text);
    let timestamp = timestamp.filter(|at| now_secs.abs_diff(*at) <= TOLERANCE_SECS.unsigned_abs());
    Ok(timestamp.filter(|_| well_formed && !signature.is_empty()).map(|timestamp| Claimed {
        webhook_id,
        timestamp,
        signature,
    }))
}

/// 401 unless the signature matches. Every failure gives the same answer.
async fn verify_body(
    context: &Context,
    repo: &Repo,
    claimed: &Claimed,
    body: &str,
) -> Result<(), ApiError> {
    let stored = configs::get(context.db()?, repo).await?;
    // Without an endpoint nothing is pushed, so no callback is valid.
    let pushes = !stored.config.spawn_endpoint.is_empty();
    let vault = Vault::of_repo(&context.settings.keys, repo);
    let held = valid(&stored.secrets, context.now).filter(|_| pushes);
    // A secret whose master key is gone is left out.
    let secrets: Vec<_> = held.filter_map(|held| vault.open(&held.sealed).ok()).collect();
    let now_secs = context.now.div_euclid(1000);
    let Claimed { webhook_id, timestamp, signature } = claimed;
    verify(&secrets, webhook_id, *timestamp, body, signature, now_secs)
        .map_err(|_| invalid_signature())
}

fn invalid_signature() -> ApiError {
    ApiError::new(
        ErrorCode::InvalidSignature,
        "A callback is signed as a Standard Webhook under the webhook_secret of the repo's config: \
         webhook-id (letters, digits, _ and -), webhook-timestamp (at most five minutes off), \
         webhook-signature. Check the secret, the clock, that the repo has a spawn_endpoint, and \
         that the body is sent as it was signed.",
    )
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
