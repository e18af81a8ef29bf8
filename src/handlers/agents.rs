//! The agent registry.

use crate::answer::{Handled, json, nothing, text};
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::endpoint::{Asked, check_endpoint, configure};
use crate::error::ApiError;
use crate::extract::{Incarnation, Json, JsonList};
use crate::mailbox::command::{HeldAnswer, WaitingCount};
use crate::mailbox::door::{self, ask, mailbox_name};
use crate::mailbox::{Command, Refused};
use crate::optimistic::until_written;
use crate::query::Query;
use crate::store::agents::{self as store, Filter};
use crate::store::audit::Entry;
use crate::{cache, random};
use multiclaude_hybrid_core::presence;
use multiclaude_hybrid_core::registry::{self, Decision, Registrant, Row};
use multiclaude_hybrid_protocol::agent::{
    AgentStatus, AgentUpdate, EndpointChange, Location, Registration,
};
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::heartbeat::{HEARTBEATS_MAX, Heartbeat};
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentId, AgentName, ErrorCode, Timestamp};
use serde_json::json;

fn not_found() -> ApiError {
    Refused::AgentNotFound.into()
}

/// The row as it is to be shown.
fn shown(mut row: Row, context: &Context) -> registry::Row {
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

/// `POST …/agents`: registers an agent (201), or renews it (200).
pub async fn register(
    context: Context,
    caller: Participant,
    Json(mut wish): Json<Registration>,
) -> Handled {
    wish.endpoint = check_endpoint(wish.endpoint, &context, "endpoint")?;
    let (status, row) = registered(&context, &caller, &wish).await?;
    cache::forget_holder(&mailbox_name(&caller.repo, &wish.name));
    let row = put_in_force(&context, row, &wish).await?;
    json(status, &shown(row, &context).agent)
}

/// Configures the mailbox of `row`. If the same incarnation was renewed meanwhile, its
/// newer row is the one that is put in force.
async fn put_in_force(
    context: &Context,
    mut row: Row,
    wish: &Registration,
) -> Result<Row, ApiError> {
    let secret = wish.webhook_secret.as_ref();
    let asked = Asked { sets_endpoint: sets(&wish.endpoint), rotate: false };
    until_written(async || {
        let error = match configure(context, &row, secret, asked).await {
            Ok(generated) => {
                row.agent.webhook_secret = generated;
                return Ok(Some(row.clone()));
            }
            Err(error) => error,
        };
        if error.code != ErrorCode::Conflict {
            return Err(error);
        }
        let now = store::get(context.db()?, &row.agent.repo, &row.agent.name).await?;
        let same = |now: &Row| now.deleted_at.is_none() && now.agent.id == row.agent.id;
        row = now.filter(same).ok_or(error)?;
        Ok(None)
    })
    .await
}

fn sets(endpoint: &EndpointChange) -> bool {
    matches!(endpoint, EndpointChange::Set(_))
}

/// Decides on the row that is there, and writes.
async fn registered(
    context: &Context,
    caller: &RepoCaller,
    wish: &Registration,
) -> Result<(u16, Row), ApiError> {
    let by = Registrant {
        owner: &caller.principal().owner,
        kind: caller.principal().kind,
        repo: &caller.repo,
        fresh_id: AgentId::new(Timestamp(context.now), random::bytes()?),
    };
    until_written(async || {
        let found = store::get(context.db()?, &caller.repo, &wish.name).await?;
        let decision =
            registry::register(found.as_ref(), &by, wish, context.now, &context.settings.timing);
        let (status, row, action) = match decision {
            Decision::Create(row) => (201, row, AuditAction::AgentRegistered),
            Decision::Renew(row) => (200, row, AuditAction::AgentRenewed),
            Decision::Taken => return Err(taken(found.as_ref(), context, false)),
        };
        let replaced =
            found.as_ref().filter(|old| old.deleted_at.is_none() && old.agent.id != row.agent.id);
        if let Some(old) = replaced
            && is_held(context, old).await?
        {
            return Err(taken(found.as_ref(), context, true));
        }
        needs_endpoint(&row, wish.webhook_secret.as_ref())?;
        let mut entry = caller.entry(context, action, row.agent.name.as_str())?;
        let detail = match replaced {
            None => json!({ "id": row.agent.id }),
            Some(Row { agent: old, .. }) => json!({
                "id": row.agent.id, "replaced": old.id, "replaced_owner": old.owner,
            }),
        };
        entry.detail = Some(detail.to_string());
        let written = store::replace(context.db()?, found.as_ref(), &row, Some(&entry)).await?;
        Ok(written.then_some((status, row)))
    })
    .await
}

/// A secret belongs to an endpoint; without one it would be lost silently.
fn needs_endpoint(row: &Row, secret: Option<&Secret>) -> Result<(), ApiError> {
    if secret.is_none() || !row.agent.endpoint.is_empty() {
        return Ok(());
    }
    let message = "needs an endpoint: give both together";
    Err(ApiError::fields(vec![FieldError::new("webhook_secret", message)]))
}

/// Does the mailbox know that the holder is there, whatever the registry shows?
async fn is_held(context: &Context, row: &Row) -> Result<bool, ApiError> {
    let agent = &row.agent;
    let command = Command::Held { agent_id: agent.id.clone() };
    let response = ask(context, &agent.repo, &agent.name, &command, "").await?;
    Ok(door::json::<HeldAnswer>(response).await?.held)
}

fn taken(found: Option<&Row>, context: &Context, is_held: bool) -> ApiError {
    let Some(row) = found else { return Refused::Stale.into() };
    let agent = &shown(row.clone(), context).agent;
    let from = agent.instance.as_ref().map_or(String::new(), |at| format!(" from instance {at}"));
    let there = if is_held {
        " Its holder is there all the same: it has an open stream, or has read or acknowledged \
         messages within the last three minutes."
    } else {
        ""
    };
    ApiError::new(
        ErrorCode::AgentExists,
        format!(
            "The name {} is held by {}{from} since {}, and was last seen at {} ({}).{there} It can \
             be taken over once it is stopped.",
            agent.name,
            agent.owner,
            agent.created_at,
            agent.last_seen,
            agent.status.as_str(),
        ),
    )
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
