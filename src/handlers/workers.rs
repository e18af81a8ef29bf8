//! Requests for workers: asked for, claimed, ended, cancelled.
//!
//! # Costs in D1 statements
//!
//! | call | before the answer | after it |
//! |---|---|---|
//! | spawn | 3 (one batch of 2: the row and its audit entry), 1 more with a key | 2, and for each push 1 and 1 object request |
//! | claim | 4 (one batch of 3), 1 more with a key | 0 |
//! | PATCH | 2, a start, end or return 3 (one batch of 2) | 0; an end 3 and 1 object request to notify; a return as a spawn |
//! | PATCH with a log | 1 more, in one batch with the others | the same |
//! | list, get | 2 | 1 |
//! | log | 1 | 0 |
//! | cancel | 4 (one batch of 2) | as an end, if it ends |
//!
//! A spawn writes 1 row and 4 index entries, its audit entry 1 and 1; a claim 1
//! row and 2 or 3 entries; a renewal 1 row, with a log 2. Polls for work write at most 1
//! row per minute and repo.

use crate::answer::{Handled, text};
use crate::auth::acting_for;
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::error::{ApiError, forbidden};
use crate::extract::{Incarnation, Json};
use crate::idempotency::{self, IdempotencyKey};
use crate::query::Query;
use crate::random;
use crate::spawns::outbox::{self, Made};
use crate::store::spawns::{self as store, CancelledBy, New, Row, Usage, leases, logs};
use multiclaude_hybrid_core::lease;
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::spawn::{NewSpawn, SpawnStatus, SpawnedBy};
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::{ErrorCode, Owner, Repo, SpawnId, Timestamp};

/// `POST …/workers/spawn`: asks for a worker (201), or returns the first request under the
/// same idempotency key (200).
pub async fn spawn(
    context: Context,
    Participant(caller): Participant,
    IdempotencyKey(key): IdempotencyKey,
    incarnation: Incarnation,
    Json(request): Json<NewSpawn>,
) -> Handled {
    let by = spawned_by(&context, &caller, &incarnation, request.spawned_by.as_ref()).await?;
    let key = key.map(|key| hashes(&caller, &key, &by, &request)).transpose()?;
    let key = key.as_ref().map(|(scope, content)| (scope.as_str(), content.as_str()));
    if let Some(first) = repeated(&context, key).await? {
        return answer(&context, 200, first);
    }
    expire(&context, &caller.repo).await?;
    let id = SpawnId::new(Timestamp(context.now), random::bytes()?);
    let entry = caller.entry(&context, AuditAction::WorkerRequested, id.as_str())?;
    let new = New { request: &request, spawned_by: &by, key, entry: &entry };
    if let Some(row) = store::insert(context.db()?, &new, &context.settings.timing).await? {
        outbox::drain_later(&context, &caller.repo, Made::Push);
        return answer(&context, 201, row);
    }
    // Either the same request was faster, or a limit is reached.
    match repeated(&context, key).await? {
        Some(first) => answer(&context, 200, first),
        None => Err(limit_reached(&context, &caller.repo).await?),
    }
}

/// Hashes of the idempotency key's scope and of the content.
fn hashes(
    caller: &RepoCaller,
    key: &str,
    by: &str,
    request: &NewSpawn,
) -> Result<(String, String), ApiError> {
    let scope = format!("{}\n{}\n{key}", caller.repo, caller.principal().owner);
    let content =
        (&request.task, by, request.priority, request.retry, &request.labels, &request.metadata);
    let content = serde_json::to_string(&content).map_err(ApiError::internal)?;
    Ok((idempotency::hash(&scope), idempotency::hash(&content)))
}

/// Answers with the request, and when a runner was last seen in its repo.
fn answer(context: &Context, status: u16, row: Row) -> Handled {
    let seen = lease::runner_seen(row.runner_seen_at, context.now, &context.settings.timing);
    match seen {
        Some(seen) => text(status, row.wire_with("runner_seen_at", &Timestamp(seen))?),
        None => text(status, row.wire),
    }
}

async fn repeated(context: &Context, key: Option<(&str, &str)>) -> Result<Option<Row>, ApiError> {
    let Some((scope, used_for)) = key else {
        return Ok(None);
    };
    let found = store::by_key(context.db()?, scope).await?;
    match found {
        Some(row) if row.content.as_deref() != Some(used_for) => Err(ApiError::new(
            ErrorCode::IdempotencyMismatch,
            "This Idempotency-Key was used for different content in this repo. Use a new key for a \
             new request.",
        )),
        found => Ok(found),
    }
}

/// The agent or principal to notify of the end, or the caller if none is given; 403 if
/// the caller may not name it.
async fn spawned_by(
    context: &Context,
    caller: &RepoCaller,
    incarnation: &Incarnation,
    given: Option<&SpawnedBy>,
) -> Result<String, ApiError> {
    let principal = caller.principal();
    match given {
        None => Ok(format!("{}:{}", principal.kind.as_str(), principal.owner)),
        Some(by @ SpawnedBy::Agent(name)) => {
            acting_for(context, caller, incarnation, name, "spawned_by").await?;
            Ok(by.to_string())
        }
        Some(by @ SpawnedBy::Role(role, owner)) => {
            let person = role == "user" && principal.kind != TokenKind::User;
            if principal.acts_for(owner) && !person {
                return Ok(by.to_string());
            }
            Err(forbidden(&format!(
                "spawned_by: {by} is not {}; name one of your own agents, or <type>:{}.",
                principal.owner, principal.owner
            )))
        }
    }
}

fn too_fast(context: &Context, usage: &Usage) -> ApiError {
    let timing = &context.settings.timing;
    let oldest = usage.oldest.unwrap_or(context.now);
    let secs = (oldest + timing.spawn_window - context.now).max(0).div_euclid(timing.second) + 1;
    let message = format!(
        "This repo allows {} requests a minute (max_spawns_per_minute of its config). Try again in \
         {secs} s.",
        usage.max_recent
    );
    ApiError::new(ErrorCode::SpawnRateLimited, message).retry_after(secs as u32)
}

async fn limit_reached(context: &Context, repo: &Repo) -> Result<ApiError, ApiError> {
    let timing = &context.settings.timing;
    let usage = store::usage(context.db()?, repo, context.now, timing).await?;
    if usage.recent >= usage.max_recent {
        return Ok(too_fast(context, &usage));
    }
    // Without a runner no worker ends.
    let without = match lease::runner_seen(usage.runner_seen_at, context.now, timing) {
        Some(_) => "",
        None => " No runner has asked for work in it in the last 24 hours.",
    };
    Ok(ApiError::new(
        ErrorCode::WorkerLimitReached,
        format!(
            "The repo has reached its limit of {} pending and running workers (max_workers of its \
             config).{without}",
            usage.max_open
        ),
    )
    .retry_after(60))
}

/// Ends leases that are over, and notifies requesters after the answer.
pub async fn expire(context: &Context, repo: &Repo) -> Result<(), ApiError> {
    let timing = &context.settings.timing;
    if leases::expire(context.db()?, Some(repo), context.now, timing).await? {
        outbox::drain_later(context, repo, Made::Both);
    }
    Ok(())
}

pub fn not_found() -> ApiError {
    ApiError::new(
        ErrorCode::WorkerNotFound,
        "There is no request for a worker of this id in this repo. Ended ones are kept for 30 days.",
    )
}

pub fn lease_lost() -> ApiError {
    ApiError::new(
        ErrorCode::LeaseLost,
        "You do not hold the lease: it has ended, and the request was returned, given to another \
         runner, or has ended. Nothing was changed. Stop the worker.",
    )
}

/// `GET …/workers?status=`: requests, the most urgent first, then the oldest.
pub async fn list(context: Context, caller: RepoCaller, query: Query) -> Handled {
    let status = query.parsed("status", SpawnStatus::parse)?;
    listed(&context, &caller, &query, status).await
}

/// `GET …/workers/pending`.
pub async fn pending(context: Context, caller: RepoCaller, query: Query) -> Handled {
    listed(&context, &caller, &query, Some(SpawnStatus::Pending)).await
}

async fn listed(
    context: &Context,
    caller: &RepoCaller,
    query: &Query,
    status: Option<SpawnStatus>,
) -> Handled {
    let limit = query.limit()?;
    // The order is not that of any id, so the cursor is a position.
    let offset = query.number("after", 0..=1_000_000)?.unwrap_or(0);
    expire(context, &caller.repo).await?;
    outbox::drain_later(context, &caller.repo, Made::Unknown);
    let page = store::list(context.db()?, &caller.repo, status, limit, offset).await?;
    let (items, count, more) = page;
    query.paged(context, (items, more.then(|| (offset + count).to_string())))
}

/// `GET …/workers/{id}`.
pub async fn get(context: Context, caller: RepoCaller, id: SpawnId) -> Handled {
    expire(&context, &caller.repo).await?;
    outbox::drain_later(&context, &caller.repo, Made::Unknown);
    let row = store::get(context.db()?, &caller.repo, &id).await?.ok_or_else(not_found)?;
    text(200, row.wire)
}

/// `GET …/workers/{id}/log`: the end of its worker's log, for callers who may cancel it.
pub async fn log(context: Context, caller: RepoCaller, id: SpawnId) -> Handled {
    let log = logs::get(context.db()?, &caller.repo, &id).await?.ok_or_else(not_found)?;
    require_requester(&caller, &log.requested_by)?;
    let wire = log.wire.ok_or_else(|| {
        ApiError::new(
            ErrorCode::LogNotFound,
            "Its runner has sent no log yet. Not every runner sends one.",
        )
    })?;
    text(200, wire)
}

/// 403 unless the caller may cancel the requests of `owner`, and read their logs.
fn require_requester(caller: &RepoCaller, owner: &Owner) -> Result<(), ApiError> {
    if caller.principal().manages(owner) {
        return Ok(());
    }
    Err(forbidden(
        "This worker was asked for by another owner. Only that owner's tokens, service tokens of \
         the repo and admin tokens may cancel it and read its log.",
    ))
}

/// `DELETE …/workers/{id}`: a pending request fails at once; a runner at work is asked to
/// stop by the answer to its next renewal.
pub async fn cancel(context: Context, caller: RepoCaller, id: SpawnId) -> Handled {
    expire(&context, &caller.repo).await?;
    let row = store::get(context.db()?, &caller.repo, &id).await?.ok_or_else(not_found)?;
    require_requester(&caller, &row.requested_by)?;
    let entry = caller.entry(&context, AuditAction::WorkerCancelled, id.as_str())?;
    let db = context.db()?;
    let by = if caller.principal().owner == row.requested_by {
        CancelledBy::Requester
    } else {
        CancelledBy::Another
    };
    let cancelled = store::cancel(db, &id, by, context.now, &entry).await?;
    let Some(row) = cancelled else {
        // It has ended, or was asked to stop already.
        let row = store::get(db, &caller.repo, &id).await?;
        return text(200, row.ok_or_else(not_found)?.wire);
    };
    if row.status == SpawnStatus::Failed {
        outbox::drain_later(&context, &caller.repo, Made::End);
    }
    text(200, row.wire)
}
