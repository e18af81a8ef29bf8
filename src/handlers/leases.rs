//! Leases on requests for workers: claimed, renewed, ended. [`super::workers`] lists their
//! costs.

use super::workers::{expire, lease_lost, not_found};
use crate::answer::{Handled, nothing, text};
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::error::ApiError;
use crate::extract::{Json, OptionalJson};
use crate::idempotency::{self, IdempotencyKey};
use crate::optimistic::until_written;
use crate::random;
use crate::spawns::outbox::{self, Made};
use crate::store::audit::Source;
use crate::store::spawns::leases::{self, Grant};
use crate::store::spawns::{self as store, Row};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use multiclaude_hybrid_core::lease::{self, Refusal, Updated};
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::spawn::{Claim, Lease, SpawnStatus, WorkerUpdate};
use multiclaude_hybrid_protocol::{ErrorCode, Owner, Repo, SpawnId, Timestamp};
use subtle::ConstantTimeEq;

/// The place that a lease's sealed token is bound to.
fn place(repo: &Repo) -> String {
    format!("{repo}|lease")
}

fn with_lease(context: &Context, row: Row) -> Handled {
    let sealed = row.lease.clone().unwrap_or_default();
    let token =
        context.settings.keys.open(&sealed, &place(&row.repo)).map_err(ApiError::internal)?;
    let lease = Lease {
        token: String::from_utf8(token).map_err(ApiError::internal)?,
        expires_at: row.lease_expires_at.map(Timestamp).unwrap_or_default(),
    };
    text(200, row.wire_with("lease", &lease)?)
}

/// `POST …/workers/claim`: the best matching request with a lease, or 204.
pub async fn claim(
    context: Context,
    Participant(caller): Participant,
    IdempotencyKey(key): IdempotencyKey,
    OptionalJson(offer): OptionalJson<Claim>,
) -> Handled {
    let owner: &Owner = &caller.principal().owner;
    let key = key.map(|key| idempotency::hash(&format!("{}\n{owner}\n{key}", caller.repo)));
    expire(&context, &caller.repo).await?;
    if let Some(row) = first(&context, key.as_deref()).await? {
        return with_lease(&context, row);
    }
    let sealed = new_token(&context, &caller.repo)?;
    let mut entry = caller.entry(&context, AuditAction::WorkerClaimed, &sealed)?;
    entry.source = Source::Lease;
    let grant = Grant {
        repo: &caller.repo,
        labels: &offer.labels,
        owner,
        key: key.as_deref(),
        lease: &sealed,
        now: context.now,
        ends: context.now + offer.lease_secs * context.settings.timing.second,
        entry: &entry,
    };
    let claimed = match leases::claim(context.db()?, &grant, &context.settings.timing).await {
        Ok(claimed) => claimed,
        // The same claim, sent twice at once: the key is unique.
        Err(error) => Some(first(&context, key.as_deref()).await?.ok_or(error)?),
    };
    claimed.map_or_else(nothing, |row| with_lease(&context, row))
}

/// The request that was claimed first under this key.
async fn first(context: &Context, key: Option<&str>) -> Result<Option<Row>, ApiError> {
    match key {
        Some(key) => leases::by_claim(context.db()?, key).await,
        None => Ok(None),
    }
}

/// A new lease's token, sealed.
fn new_token(context: &Context, repo: &Repo) -> Result<String, ApiError> {
    let token = format!("lease_{}", URL_SAFE_NO_PAD.encode(random::bytes::<32>()?));
    let sealed = context.settings.keys.seal(token.as_bytes(), &place(repo), random::bytes()?);
    sealed.map_err(ApiError::internal)
}

/// `PATCH …/workers/{id}`: the holder of the lease renews, starts, ends, gives
/// back.
pub async fn update(
    context: Context,
    Participant(caller): Participant,
    id: SpawnId,
    Json(update): Json<WorkerUpdate>,
) -> Handled {
    let (made, row) = until_written(async || {
        let row = store::get(context.db()?, &caller.repo, &id).await?.ok_or_else(not_found)?;
        let holds = holds(&context, &row, &update.lease_token);
        let timing = &context.settings.timing;
        let updated = lease::update(&row.held(), holds, &update, context.now, timing);
        let updated = updated.map_err(refused)?;
        if row.status != SpawnStatus::InProgress {
            // A repeat of the end changes nothing.
            return Ok(Some((None, row)));
        }
        let written = write(&context, &caller, &row, &updated, &update).await?;
        Ok(written.map(|row| (made_by(row.status), row)))
    })
    .await?;
    if let Some(made) = made {
        outbox::drain_later(&context, &caller.repo, made);
    }
    text(200, row.wire)
}

/// The outgoing work of a request that has just got this status.
fn made_by(status: SpawnStatus) -> Option<Made> {
    match status {
        SpawnStatus::InProgress => None,
        SpawnStatus::Pending => Some(Made::Push),
        SpawnStatus::Completed | SpawnStatus::Failed => Some(Made::End),
    }
}

fn refused(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::LeaseLost => lease_lost(),
        Refusal::Started => ApiError::new(
            ErrorCode::InvalidTransition,
            "The worker has started and the request was made without retry, so it cannot be given \
             back. Nothing was changed. Let the worker finish, or stop it and report failed.",
        ),
    }
}

/// Writes the decided update, with its entry in the audit log. `None`: the row has changed
/// since.
async fn write(
    context: &Context,
    caller: &RepoCaller,
    row: &Row,
    updated: &Updated,
    update: &WorkerUpdate,
) -> Result<Option<Row>, ApiError> {
    let (db, now) = (context.db()?, context.now);
    let action = audited(row, updated, update);
    let entry = action.map(|action| caller.entry(context, action, row.id.as_str())).transpose()?;
    if update.status == Some(SpawnStatus::Pending) {
        return leases::give_back(db, row, updated, update, now, entry.as_ref()).await;
    }
    leases::update(db, row, updated, update, now, entry.as_ref()).await
}

/// The action in the audit log: starts, ends and returns, not renewals.
fn audited(row: &Row, updated: &Updated, update: &WorkerUpdate) -> Option<AuditAction> {
    match updated.status {
        SpawnStatus::Completed => Some(AuditAction::WorkerCompleted),
        SpawnStatus::Failed => Some(AuditAction::WorkerFailed),
        SpawnStatus::Pending => Some(AuditAction::WorkerReturned),
        SpawnStatus::InProgress => {
            let starts = update.worker_name.is_some() && update.worker_name != row.worker_name;
            starts.then_some(AuditAction::WorkerStarted)
        }
    }
}

/// Is this the token of the current lease? Compared in constant time.
fn holds(context: &Context, row: &Row, token: &str) -> bool {
    let sealed = row.lease.as_deref().unwrap_or_default();
    let opened = context.settings.keys.open(sealed, &place(&row.repo));
    opened.is_ok_and(|secret| bool::from(secret.ct_eq(token.as_bytes())))
}
