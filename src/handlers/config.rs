//! A repo's configuration.

use crate::answer::{Handled, json};
use crate::caller::RepoCaller;
use crate::context::Context;
use crate::endpoint::check_url;
use crate::error::{ApiError, forbidden};
use crate::extract::{FromRequest, Json};
use crate::optimistic::until_written;
use crate::random;
use crate::spawns::outbox::{self, Made};
use crate::store::configs::{self as store, Stored};
use crate::vault::Vault;
use multiclaude_hybrid_core::secrets::{self, HeldSecret};
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::config::{ConfigWish, HybridConfig};
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::webhook::Secret;
use serde_json::json;

/// Replaced secrets that are kept for 24 h.
const OLD_SECRETS_MAX: usize = 3;

/// Only service and admin tokens see the secret.
fn may_see_secret(caller: &RepoCaller) -> bool {
    caller.principal().kind != TokenKind::User
}

fn answer(context: &Context, caller: &RepoCaller, stored: &Stored) -> Handled {
    let mut config = stored.config.clone();
    if may_see_secret(caller) {
        let secret = stored.newest_secret(&context.settings.keys);
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
pub async fn get(context: Context, caller: RepoCaller) -> Handled {
    let stored = store::get(context.db()?, &caller.repo).await?;
    answer(&context, &caller, &stored)
}

/// `PUT …/config`: replaces it, for service and admin tokens.
pub async fn put(
    context: Context,
    ConfigEditor(caller): ConfigEditor,
    Json(mut request): Json<ConfigWish>,
) -> Handled {
    let secret = request.webhook_secret.take();
    let mut config = request.into_config(caller.repo.clone());
    if !config.spawn_endpoint.is_empty() {
        config.spawn_endpoint = check_url(&config.spawn_endpoint, &context, "spawn_endpoint")?;
    }
    let next = until_written(async || {
        let stored = store::get(context.db()?, &caller.repo).await?;
        let matched = require_match(&context, stored.version)?;
        let next = Stored {
            secrets: secrets_after(&context, &stored, &config, secret.as_ref())?,
            config: config.clone(),
            version: stored.version + 1,
        };
        let mut entry = caller.entry(&context, AuditAction::ConfigUpdated, "config")?;
        entry.detail = Some(json!({ "version": next.version.to_string() }).to_string());
        match store::replace(context.db()?, stored.version, &next, context.now, &entry).await? {
            true => Ok(Some(next)),
            false if matched => Err(precondition_failed()),
            // The caller did not ask for a version: the last one wins.
            false => Ok(None),
        }
    })
    .await?;
    outbox::drain_later(&context, &caller.repo, Made::Push);
    answer(&context, &caller, &next)
}

/// A caller that changes the configuration of a repo.
pub struct ConfigEditor(RepoCaller);

impl FromRequest for ConfigEditor {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let caller = RepoCaller::from_request(context).await?;
        if may_see_secret(&caller) {
            return Ok(Self(caller));
        }
        Err(forbidden(
            "The configuration of a repo is shared by its team: service and admin tokens change it.",
        ))
    }
}

fn precondition_failed() -> ApiError {
    ApiError::new(
        ErrorCode::PreconditionFailed,
        "The configuration was changed in the meantime: it no longer has the ETag in If-Match.",
    )
}

/// `If-Match`, if the request has one, must name the current version; `false` if it has
/// none. A compressing proxy may have weakened the tag.
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

/// The secrets after this PUT. The given secret becomes the newest; if the endpoint has no
/// secret yet, one is generated. Replaced secrets stay valid for 24 h. Without an endpoint
/// they are dropped at once.
fn secrets_after(
    context: &Context,
    stored: &Stored,
    config: &HybridConfig,
    given: Option<&Secret>,
) -> Result<Vec<HeldSecret>, ApiError> {
    let now = context.now;
    let mut secrets: Vec<_> = secrets::valid(&stored.secrets, now).cloned().collect();
    let used = !config.spawn_endpoint.is_empty();
    // Without an endpoint only one secret is kept.
    let old_max = if used { OLD_SECRETS_MAX } else { 0 };
    secrets.truncate(old_max + 1);
    let current = stored.newest_secret(&context.settings.keys);
    let new = match (given, &current) {
        (Some(given), Some(current)) if given == current => None,
        (Some(given), _) => Some(given.clone()),
        (None, None) if used => Some(Secret::new(random::bytes()?)),
        (None, _) => None,
    };
    let Some(new) = new else { return Ok(secrets) };
    let sealed = Vault::of_repo(&context.settings.keys, &stored.config.repo).seal(&new)?;
    let overlap = context.settings.timing.secret_overlap;
    secrets::rotate(&mut secrets, Some(sealed), now, overlap, old_max);
    Ok(secrets)
}
