//! Registers and renews agents.

use super::agents::{needs_endpoint, with_presence};
use crate::answer::{Handled, json};
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::endpoint::{check_endpoint, configure};
use crate::error::ApiError;
use crate::extract::Json;
use crate::mailbox::command::HolderPresence;
use crate::mailbox::door::{self, mailbox_name, send_command};
use crate::mailbox::{Command, Refused};
use crate::optimistic::until_written;
use crate::store::agents as store;
use crate::store::audit::Entry;
use crate::{cache, random};
use multiclaude_hybrid_core::registry::{self, Decision, Registrant, Row};
use multiclaude_hybrid_protocol::agent::Registration;
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::{AgentId, ErrorCode, Timestamp};
use serde_json::json;

/// `POST …/agents`: registers an agent (201), or renews it (200).
pub async fn register(
    context: Context,
    Participant(caller): Participant,
    Json(mut registration): Json<Registration>,
) -> Handled {
    registration.endpoint = check_endpoint(registration.endpoint, &context, "endpoint")?;
    let (status, row) = write_registration(&context, &caller, &registration).await?;
    cache::forget_holder(&mailbox_name(&caller.repo, &registration.name));
    let row = put_in_force(&context, row, &registration).await?;
    json(status, &with_presence(row, &context).agent)
}

/// Configures the mailbox of `row`, or of the newer row if the same incarnation was
/// renewed in the meantime.
async fn put_in_force(
    context: &Context,
    mut row: Row,
    registration: &Registration,
) -> Result<Row, ApiError> {
    let (secret, change) = (registration.webhook_secret.as_ref(), &registration.endpoint);
    let generated = until_written(async || {
        let error = match configure(context, &row, secret, change, false).await {
            Ok(generated) => return Ok(Some(generated)),
            Err(error) if error.code == ErrorCode::Conflict => error,
            Err(error) => return Err(error),
        };
        let now = store::get(context.db()?, &row.agent.repo, &row.agent.name).await?;
        let same = |now: &Row| now.deleted_at.is_none() && now.agent.id == row.agent.id;
        row = now.filter(same).ok_or(error)?;
        Ok(None)
    })
    .await?;
    row.agent.webhook_secret = generated;
    Ok(row)
}

/// Decides a registration, and writes it.
async fn write_registration(
    context: &Context,
    caller: &RepoCaller,
    registration: &Registration,
) -> Result<(u16, Row), ApiError> {
    let by = Registrant {
        owner: &caller.principal().owner,
        kind: caller.principal().kind,
        repo: &caller.repo,
        fresh_id: AgentId::new(Timestamp(context.now), random::bytes()?),
    };
    let (now, timing) = (context.now, &context.settings.timing);
    until_written(async || {
        let found = store::get(context.db()?, &caller.repo, &registration.name).await?;
        let decision = registry::register(found.as_ref(), &by, registration, now, timing);
        let (status, row, action) = match decision {
            Decision::Create(row) => (201, row, AuditAction::AgentRegistered),
            Decision::Renew(row) => (200, row, AuditAction::AgentRenewed),
            Decision::Taken => return Err(taken(found.as_ref(), context, false)),
        };
        let is_another = |old: &&Row| old.deleted_at.is_none() && old.agent.id != row.agent.id;
        let replaced = found.as_ref().filter(is_another);
        if let Some(old) = replaced
            && holder_is_present(context, old).await?
        {
            return Err(taken(found.as_ref(), context, true));
        }
        needs_endpoint(&row, registration.webhook_secret.as_ref())?;
        let entry = Entry {
            detail: Some(detail(&row, replaced)),
            ..caller.entry(context, action, row.agent.name.as_str())?
        };
        let written = store::replace(context.db()?, found.as_ref(), &row, Some(&entry)).await?;
        Ok(written.then_some((status, row)))
    })
    .await
}

/// The detail of the entry in the audit log, as JSON.
fn detail(row: &Row, replaced: Option<&Row>) -> String {
    let detail = match replaced {
        None => json!({ "id": row.agent.id }),
        Some(Row { agent: old, .. }) => json!({
            "id": row.agent.id, "replaced": old.id, "replaced_owner": old.owner,
        }),
    };
    detail.to_string()
}

/// Is the holder present, as far as the mailbox knows? The registry may show it late.
async fn holder_is_present(context: &Context, row: &Row) -> Result<bool, ApiError> {
    let agent = &row.agent;
    let command = Command::HolderIsPresent { agent_id: agent.id.clone() };
    let response = send_command(context, &agent.repo, &agent.name, &command, "").await?;
    Ok(door::json::<HolderPresence>(response).await?.is_present)
}

fn taken(found: Option<&Row>, context: &Context, holder_is_present: bool) -> ApiError {
    let Some(row) = found else { return Refused::Stale.into() };
    let agent = &with_presence(row.clone(), context).agent;
    let from = agent.instance.as_ref().map_or(String::new(), |at| format!(" from instance {at}"));
    let there = if holder_is_present {
        " Its holder is still connected or was active within the last three minutes."
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
