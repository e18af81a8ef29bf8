//! A repo's configuration.

use super::endpoint::check_endpoint;
use super::{Handled, json};
use crate::auth::{self, RepoCaller, forbidden};
use crate::context::Context;
use crate::error::ApiError;
use crate::spawns::outbox::{self, Made};
use crate::spawns::secrets as repo_secrets;
use crate::store::configs::{self as store, Stored};
use crate::{body, random};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::secrets::{self, HeldSecret};
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::agent::EndpointChange;
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::config::ConfigWish;
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::webhook::Secret;
use serde_json::json;

/// Old secrets that are remembered until their day is over.
const OLD_SECRETS_MAX: usize = 3;

/// Tries of a PUT that asks for no version. Of those that write at once one gets
/// through each time, so it is also how many may.
const TRIES: u32 = 32;

/// Only service and admin tokens see the secret.
fn may_see_secret(caller: &RepoCaller) -> bool {
    caller.principal().kind != TokenKind::User
}

fn answer(context: &Context, caller: &RepoCaller, stored: &Stored) -> Handled {
    let mut config = stored.config.clone();
    if may_see_secret(caller) {
        let secret = repo_secrets::newest(&context.settings.keys, stored);
        config.webhook_secret = secret.map(|secret| secret.reveal());
    }
    let mut response = json(200, &config)?;
    response.headers_mut().set("etag", &etag(stored.version))?;
    Ok(response)
}

fn etag(version: u32) -> String {
    format!("\"{version}\"")
}

/// `GET …/config`: the configuration, or the defaults.
pub async fn get(context: Context) -> Handled {
    let caller = auth::repo_caller(&context).await?;
    let stored = store::get(context.db()?, &caller.repo).await?;
    answer(&context, &caller, &stored)
}

/// `PUT …/config`: replaces it, for service and admin tokens.
pub async fn put(mut context: Context) -> Handled {
    let caller = auth::repo_caller(&context).await?;
    if !may_see_secret(&caller) {
        return Err(forbidden(
            "The configuration of a repo is shared by its team: service and admin tokens change it.",
        ));
    }
    let fields = body::fields(&mut context.request).await?;
    let mut wish =
        ConfigWish::from_fields(fields, caller.repo.clone()).map_err(ApiError::fields)?;
    wish.config.spawn_endpoint = checked_endpoint(wish.config.spawn_endpoint, &context)?;
    for _ in 0..TRIES {
        let stored = store::get(context.db()?, &caller.repo).await?;
        let matched = require_match(&context, stored.version)?;
        let next = Stored {
            secrets: secrets_after(&context, &stored, &wish)?,
            config: wish.config.clone(),
            version: stored.version + 1,
        };
        let mut entry = caller.entry(&context, AuditAction::ConfigUpdated, "config")?;
        entry.detail = Some(json!({ "version": next.version.to_string() }).to_string());
        if store::replace(context.db()?, stored.version, &next, context.now, &entry).await? {
            outbox::drain_later(&context, &caller.repo, Made::Push);
            return answer(&context, &caller, &next);
        }
        if matched {
            return Err(precondition_failed());
        }
        // Nobody asked for a certain version: the last one wins.
    }
    Err(ApiError::new(
        ErrorCode::Conflict,
        "Too many change this configuration at the same moment. Try again.",
    ))
}

fn checked_endpoint(url: String, context: &Context) -> Result<String, ApiError> {
    if url.is_empty() {
        return Ok(url);
    }
    match check_endpoint(EndpointChange::Set(url), context, "spawn_endpoint")? {
        EndpointChange::Set(url) => Ok(url),
        EndpointChange::Keep | EndpointChange::Clear => Ok(String::new()),
    }
}

fn precondition_failed() -> ApiError {
    ApiError::new(
        ErrorCode::PreconditionFailed,
        "The configuration was changed in the meantime: it no longer has the ETag in If-Match.",
    )
}

/// `If-Match`, if the request has one, must name the version that stands;
/// `false` if it has none. What compresses an answer on its way may have made
/// the tag a weak one.
fn require_match(context: &Context, version: u32) -> Result<bool, ApiError> {
    let Some(wanted) = context.request.headers().get("if-match")? else {
        return Ok(false);
    };
    let current = etag(version);
    let matches = wanted
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == current || (tag == "*" && version > 0));
    if matches { Ok(true) } else { Err(precondition_failed()) }
}

/// The secrets after this PUT: the given one first, or, where an endpoint has
/// none yet, a generated one; replaced ones go on for 24 h, or, without an
/// endpoint, not at all.
fn secrets_after(
    context: &Context,
    stored: &Stored,
    wish: &ConfigWish,
) -> Result<Vec<HeldSecret>, ApiError> {
    let now = context.now;
    let alive = |held: &HeldSecret| held.until.is_none_or(|until: Ms| now < until);
    let mut secrets: Vec<_> = stored.secrets.iter().filter(|held| alive(held)).cloned().collect();
    let used = !wish.config.spawn_endpoint.is_empty();
    if !used {
        secrets.truncate(1);
    }
    let current = repo_secrets::newest(&context.settings.keys, stored);
    let new = match (&wish.webhook_secret, &current) {
        (Some(given), Some(current)) if given == current => None,
        (Some(given), _) => Some(given.clone()),
        (None, None) if used => Some(Secret::new(random::bytes()?)),
        (None, _) => None,
    };
    let Some(new) = new else { return Ok(secrets) };
    let keys = &context.settings.keys;
    let sealed = repo_secrets::seal(keys, &stored.config.repo, &new, random::bytes()?)?;
    if !used {
        secrets.clear();
    }
    let overlap = context.settings.timing.secret_overlap;
    secrets::rotate(&mut secrets, Some(sealed), now, overlap, OLD_SECRETS_MAX);
    Ok(secrets)
}
