//! An agent's endpoint: a new secret, a test.

use super::agents;
use crate::answer::{Handled, json, text};
use crate::caller::RepoCaller;
use crate::context::Context;
use crate::endpoint::configure;
use crate::error::ApiError;
use crate::extract::Incarnation;
use crate::mailbox::door::{self, send_command};
use crate::mailbox::{Command, Refused};
use crate::optimistic::until_written;
use crate::store::agents as store;
use multiclaude_hybrid_protocol::AgentName;
use multiclaude_hybrid_protocol::agent::EndpointChange;
use multiclaude_hybrid_protocol::audit::AuditAction;
use serde_json::json;

/// `POST …/agents/{name}/endpoint/secret`: replaces the secret by a generated one, shown
/// once. The old one also signs for 24 h.
pub async fn rotate(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
) -> Handled {
    let next = until_written(async || {
        let row = agents::living(&context, &caller, &name, &incarnation).await?;
        caller.acts_for(&row.agent.owner)?;
        if row.agent.endpoint.is_empty() {
            return Err(Refused::NoEndpoint.into());
        }
        let mut next = row.clone();
        next.version.revision += 1;
        let entry = caller.entry(&context, AuditAction::AgentSecretRotated, name.as_str())?;
        let written = store::replace(context.db()?, Some(&row), &next, Some(&entry)).await?;
        Ok(written.then_some(next))
    })
    .await?;
    let secret = configure(&context, &next, None, &EndpointChange::Keep, true).await?;
    let secret = secret.ok_or_else(|| ApiError::internal("no secret was generated"))?;
    json(200, &json!({ "webhook_secret": secret }))
}

/// `POST …/agents/{name}/endpoint/test`: sends `endpoint.test` and returns status, duration
/// and error class.
pub async fn test(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    incarnation: Incarnation,
) -> Handled {
    let row = agents::living(&context, &caller, &name, &incarnation).await?;
    caller.manages(&row.agent.owner)?;
    let mut response =
        send_command(&context, &caller.repo, &name, &Command::TestEndpoint, "").await?;
    text(200, door::text(&mut response).await?)
}
