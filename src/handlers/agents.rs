//! The agent registry.

use crate::answer::{Handled, json, nothing, text};
use crate::cache;
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::endpoint::{Asked, check_endpoint, configure};
use crate::error::ApiError;
use crate::extract::{Incarnation, Json, JsonList};
use crate::mailbox::command::WaitingCount;
use crate::mailbox::door::{self, ask, mailbox_name};
use crate::mailbox::{Command, Refused};
use crate::optimistic::until_written;
use crate::query::Query;
use crate::store::agents::{self as store, Filter};
use crate::store::audit::Entry;
use multiclaude_hybrid_core::presence;
use multiclaude_hybrid_core::registry::{self, Row};
use multiclaude_hybrid_protocol::agent::{AgentStatus, AgentUpdate, EndpointChange, Location};
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::heartbeat::{HEARTBEATS_MAX, Heartbeat};
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentName, ErrorCode};
use serde_json::json;

fn not_found() -> ApiError {
    Refused::AgentNotFound.into()
}

/// The row as it is to be shown.
pub(super) fn shown(mut row: Row, context: &Context) -> Row {
    let agent = &mut row.agent;
    agent.status = presence::reported(
        agent.status,
        agent.delivery,
        agent.last_seen.0,
        context.now,
        &context.settings.timing,
    );
    row
}

pub(super) fn sets(endpoint: &EndpointChange) -> bool {
    matches!(endpoint, EndpointChange::Set(_))
}

/// A secret belongs to an endpoint; without one it would be lost silently.
pub(super) fn needs_endpoint(row: &Row, secret: Option<&Secret>) -> Result<(), ApiError> {
    if secret.is_none() || !row.agent.endpoint.is_empty() {
        return Ok(());
    }
    let message = "needs an endpoint: give both together";
    Err(ApiError::fields(vec![FieldError::new("webhook_secret", message)]))
}

/// `GET …/agents`: who is registered.
pub async fn list(context: Context, caller: RepoCaller, query: Query) -> Handled {
    let filter = Filter {
        r#type: query.get("type").map(str::to_owned),
        location: query.parsed("location", Location::parse)?,
        status: query.parsed("status", AgentStatus::parse)?,
        owner: query.get("owner").map(str::to_owned),
    };
    let limit = query.limit()?;
    let after = query.parsed("after", AgentName::parse)?;
    let after = after.as_ref().map_or("", AgentName::as_str);
    let unseen = presence::unseen_before(context.now, &context.settings.timing);
    let page = store::list(context.db()?, &caller.repo, &filter, unseen, limit, after).await?;
    query.paged(&context, page)
}

/// The agent's row, if it is alive and, if the caller says which incarnation it means,
/// that one.
pub async fn living(
    context: &Context,
    caller: &RepoCaller,
    name: &AgentName,
    incarnation: &Incarnation,
) -> Result<Row, ApiError> {
    let row = store::get(context.db()?, &caller.repo, name).await?.ok_or_else(not_found)?;
    let is_alive = row.deleted_at.is_none();
    match &incarnation.0 {
        Some(id) if !is_alive || *id != row.agent.id => Err(Refused::Superseded.into()),
        None if !is_alive => Err(not_found()),
        _ => Ok(row),
    }
}

/// `GET …/agents/{name}`: one agent, with how many messages wait for it.
pub async fn get(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
) -> Handled {
    let mut row = shown(living(&context, &caller, &name, &incarnation).await?, &context);
    let response = ask(&context, &caller.repo, &name, &Command::Waiting, "").await?;
    row.agent.waiting = Some(door::json::<WaitingCount>(response).await?.waiting);
    json(200, &row.agent)
}

/// `PATCH …/agents/{name}`: changes what is given; a heartbeat changes nothing.
pub async fn update(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
    Json(mut wish): Json<AgentUpdate>,
) -> Handled {
    wish.endpoint = check_endpoint(wish.endpoint, &context, "endpoint")?;
    let mut row = until_written(async || {
        let row = living(&context, &caller, &name, &incarnation).await?;
        updated(&context, &caller, row, &wish).await
    })
    .await?;
    if touches_endpoint(&wish) {
        let asked = Asked { sets_endpoint: sets(&wish.endpoint), rotate: false };
        let secret = wish.webhook_secret.as_ref();
        row.agent.webhook_secret = configure(&context, &row, secret, asked).await?;
    }
    json(200, &shown(row, &context).agent)
}

/// Setting the endpoint that is set already still makes the mailbox try at once.
fn touches_endpoint(wish: &AgentUpdate) -> bool {
    wish.endpoint != EndpointChange::Keep || wish.webhook_secret.is_some()
}

/// Writes a change of `row`, if there is anything worth writing. `None`: the row has
/// changed since.
async fn updated(
    context: &Context,
    caller: &RepoCaller,
    row: Row,
    wish: &AgentUpdate,
) -> Result<Option<Row>, ApiError> {
    caller.manages(&row.agent.owner)?;
    if touches_endpoint(wish) {
        caller.acts_for(&row.agent.owner)?;
    }
    let next = registry::update(&row, wish, context.now);
    needs_endpoint(&next, wish.webhook_secret.as_ref())?;
    let seen = row.agent.last_seen.0;
    let worth = presence::worth_writing(seen, context.now, &context.settings.timing);
    if !registry::differs(&row, &next) && !worth && !touches_endpoint(wish) {
        return Ok(Some(row));
    }
    let entry = change_entry(context, caller, &row, wish)?;
    let written = store::replace(context.db()?, Some(&row), &next, entry.as_ref()).await?;
    Ok(written.then_some(next))
}

/// The entry in the audit log: which fields were changed; none for a heartbeat.
fn change_entry(
    context: &Context,
    caller: &RepoCaller,
    row: &Row,
    wish: &AgentUpdate,
) -> Result<Option<Entry>, ApiError> {
    let fields = [
        ("endpoint", wish.endpoint != EndpointChange::Keep),
        ("webhook_secret", wish.webhook_secret.is_some()),
        ("type", wish.r#type.is_some()),
        ("location", wish.location.is_some()),
    ];
    let fields = fields.into_iter().filter(|(_, changed)| *changed);
    let fields: Vec<_> = fields.map(|(name, _)| name).collect();
    if fields.is_empty() {
        return Ok(None);
    }
    let name = row.agent.name.as_str();
    let mut entry = caller.entry(context, AuditAction::AgentUpdated, name)?;
    entry.detail = Some(json!({ "fields": fields.join(", ") }).to_string());
    Ok(Some(entry))
}

/// `POST …/heartbeats`: signs of life of a whole machine, one D1 batch.
pub async fn heartbeats(
    context: Context,
    caller: Participant,
    JsonList(beats): JsonList<Heartbeat, HEARTBEATS_MAX>,
) -> Handled {
    let principal = caller.principal();
    let owner = (principal.kind == TokenKind::User).then(|| principal.owner.as_str());
    let grain = context.settings.timing.seen_grain;
    let results = crate::store::presence::heartbeats(
        context.db()?,
        &caller.repo,
        &beats,
        owner,
        context.now,
        grain,
    )
    .await?;
    text(200, results)
}

/// `DELETE …/agents/{name}`: ends the incarnation. On a tombstone it closes
/// the mailbox again, which heals a deregistration that crashed half-way.
pub async fn delete(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
) -> Handled {
    let grave = until_written(async || {
        let row = store::get(context.db()?, &caller.repo, &name).await?.ok_or_else(not_found)?;
        if !incarnation.is(&row.agent.id) {
            return Err(Refused::Superseded.into());
        }
        caller.manages(&row.agent.owner)?;
        if row.deleted_at.is_some() {
            return Ok(Some(row));
        }
        let grave = registry::tombstone(&row, context.now);
        let entry = caller.entry(&context, AuditAction::AgentDeregistered, name.as_str())?;
        let written = store::replace(context.db()?, Some(&row), &grave, Some(&entry)).await?;
        Ok(written.then_some(grave))
    })
    .await?;
    cache::forget_holder(&mailbox_name(&caller.repo, &name));
    close(&context, &grave).await?;
    nothing()
}

/// Closes the mailbox of a tombstone.
async fn close(context: &Context, grave: &Row) -> Result<(), ApiError> {
    let agent = &grave.agent;
    let command = Command::close(grave);
    match ask(context, &agent.repo, &agent.name, &command, "").await {
        Ok(_) => {}
        // A newer incarnation has the mailbox already: this one is closed.
        Err(error) if error.code == ErrorCode::Conflict => {}
        Err(error) => return Err(error),
    }
    store::closed(context.db()?, &agent.repo, &agent.name, grave.version).await
}
