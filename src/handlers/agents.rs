//! The agent registry.

use crate::answer::{Handled, json, nothing, text};
use crate::cache;
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::endpoint::{check_endpoint, configure};
use crate::error::ApiError;
use crate::extract::{Incarnation, Json, JsonList};
use crate::mailbox::command::PendingCount;
use crate::mailbox::door::{self, mailbox_name, send_command};
use crate::mailbox::{Command, Refused};
use crate::optimistic::until_written;
use crate::query::Query;
use crate::store::agents::{self as store, Filter};
use crate::store::audit::Entry;
use crate::store::presence as presence_columns;
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

/// The row with the status that is shown: `stopped` if the agent is unseen.
pub(super) fn with_presence(mut row: Row, context: &Context) -> Row {
    row.agent.status = presence::reported(&row.agent, context.now, &context.settings.timing);
    row
}

/// 422 for a secret without an endpoint: it would be lost silently.
pub(super) fn needs_endpoint(row: &Row, secret: Option<&Secret>) -> Result<(), ApiError> {
    if secret.is_none() || !row.agent.endpoint.is_empty() {
        return Ok(());
    }
    let message = "needs an endpoint: give both together";
    Err(ApiError::fields(vec![FieldError::new("webhook_secret", message)]))
}

/// `GET …/agents`: the registered agents.
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

/// The agent's row, unless it is deregistered or not the incarnation that the caller
/// names.
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

/// `GET …/agents/{name}`: one agent, with the number of its pending messages.
pub async fn get(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
) -> Handled {
    let mut row = with_presence(living(&context, &caller, &name, &incarnation).await?, &context);
    let response = send_command(&context, &caller.repo, &name, &Command::CountPending, "").await?;
    row.agent.waiting = Some(door::json::<PendingCount>(response).await?.pending);
    json(200, &row.agent)
}

/// `PATCH …/agents/{name}`: changes the given fields; a heartbeat has none.
pub async fn update(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
    Json(mut update): Json<AgentUpdate>,
) -> Handled {
    update.endpoint = check_endpoint(update.endpoint, &context, "endpoint")?;
    let mut row = until_written(async || {
        let row = living(&context, &caller, &name, &incarnation).await?;
        updated(&context, &caller, row, &update).await
    })
    .await?;
    if touches_endpoint(&update) {
        let (secret, change) = (update.webhook_secret.as_ref(), &update.endpoint);
        row.agent.webhook_secret = configure(&context, &row, secret, change, false).await?;
    }
    json(200, &with_presence(row, &context).agent)
}

/// Setting the same endpoint again still makes the mailbox push at once.
fn touches_endpoint(update: &AgentUpdate) -> bool {
    update.endpoint != EndpointChange::Keep || update.webhook_secret.is_some()
}

/// Writes a change of `row`, if it is worth a write. `None`: the row has changed since.
async fn updated(
    context: &Context,
    caller: &RepoCaller,
    row: Row,
    update: &AgentUpdate,
) -> Result<Option<Row>, ApiError> {
    caller.manages(&row.agent.owner)?;
    if touches_endpoint(update) {
        caller.acts_for(&row.agent.owner)?;
    }
    let next = registry::update(&row, update, context.now);
    needs_endpoint(&next, update.webhook_secret.as_ref())?;
    let seen = row.agent.last_seen.0;
    let worth = presence::worth_writing(seen, context.now, &context.settings.timing);
    if !registry::differs(&row, &next) && !worth && !touches_endpoint(update) {
        return Ok(Some(row));
    }
    let entry = change_entry(context, caller, &row, update)?;
    let written = store::replace(context.db()?, Some(&row), &next, entry.as_ref()).await?;
    Ok(written.then_some(next))
}

/// The entry in the audit log, with the changed fields; none for a heartbeat.
fn change_entry(
    context: &Context,
    caller: &RepoCaller,
    row: &Row,
    update: &AgentUpdate,
) -> Result<Option<Entry>, ApiError> {
    let fields = [
        ("endpoint", update.endpoint != EndpointChange::Keep),
        ("webhook_secret", update.webhook_secret.is_some()),
        ("type", update.r#type.is_some()),
        ("location", update.location.is_some()),
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

/// `POST …/heartbeats`: the heartbeats of a machine, one D1 batch.
pub async fn heartbeats(
    context: Context,
    Participant(caller): Participant,
    JsonList(beats): JsonList<Heartbeat, HEARTBEATS_MAX>,
) -> Handled {
    let principal = caller.principal();
    let owner = (principal.kind == TokenKind::User).then(|| principal.owner.as_str());
    let (db, now, grain) = (context.db()?, context.now, context.settings.timing.seen_grain);
    text(200, presence_columns::heartbeats(db, &caller.repo, &beats, owner, now, grain).await?)
}

/// `DELETE …/agents/{name}`: ends the incarnation. For a tombstone it closes the mailbox
/// again, which repairs a deregistration that a crash interrupted.
pub async fn delete(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
) -> Handled {
    let tombstone = until_written(async || {
        let row = store::get(context.db()?, &caller.repo, &name).await?.ok_or_else(not_found)?;
        if !incarnation.is(&row.agent.id) {
            return Err(Refused::Superseded.into());
        }
        caller.manages(&row.agent.owner)?;
        if row.deleted_at.is_some() {
            return Ok(Some(row));
        }
        let tombstone = registry::tombstone(&row, context.now);
        let entry = caller.entry(&context, AuditAction::AgentDeregistered, name.as_str())?;
        let written = store::replace(context.db()?, Some(&row), &tombstone, Some(&entry)).await?;
        Ok(written.then_some(tombstone))
    })
    .await?;
    cache::forget_holder(&mailbox_name(&caller.repo, &name));
    close(&context, &tombstone).await?;
    nothing()
}

/// Closes the mailbox of a tombstone.
async fn close(context: &Context, tombstone: &Row) -> Result<(), ApiError> {
    let agent = &tombstone.agent;
    let command = Command::close(tombstone);
    match send_command(context, &agent.repo, &agent.name, &command, "").await {
        Ok(_) => {}
        // A newer incarnation has the mailbox already: this one is closed.
        Err(error) if error.code == ErrorCode::Conflict => {}
        Err(error) => return Err(error),
    }
    store::mark_closed(context.db()?, &agent.repo, &agent.name, tombstone.version).await
}
