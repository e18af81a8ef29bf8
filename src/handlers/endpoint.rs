//! An agent's endpoint: a new secret, and a test.

use super::{Handled, agents, json, text};
use crate::auth;
use crate::context::Context;
use crate::error::ApiError;
use crate::mailbox::command::ask;
use crate::mailbox::{Command, Refused};
use crate::store::agents as store;
use multiclaude_hybrid_protocol::audit::AuditAction;
use serde_json::json;

/// `POST …/agents/{name}/endpoint/secret`: replaces the secret by a generated
/// one, shown once. The old one goes on signing for 24 h.
pub async fn rotate(context: Context) -> Handled {
    let caller = auth::repo_caller(&context).await?;
    let mut written = None;
    for _ in 0..agents::TRIES {
        let row = agents::living(&context, &caller).await?;
        caller.acts_for(&row.agent.owner)?;
        if row.agent.endpoint.is_empty() {
            return Err(Refused::NoEndpoint.into());
        }
        let mut next = row.clone();
        next.version.revision += 1;
        let name = row.agent.name.as_str();
        let entry = caller.entry(&context, AuditAction::AgentSecretRotated, name)?;
        if store::replace(context.db()?, Some(&row), &next, Some(&entry)).await? {
            written = Some(next);
            break;
        }
    }
    let next = written.ok_or(Refused::Stale)?;
    let secret = agents::configure(&context, &next, None, true).await?;
    let secret = secret.ok_or_else(|| ApiError::internal("no secret was generated"))?;
    json(200, &json!({ "webhook_secret": secret }))
}

/// `POST …/agents/{name}/endpoint/test`: sends `endpoint.test` and tells
/// status, duration and error class.
pub async fn test(context: Context) -> Handled {
    let caller = auth::repo_caller(&context).await?;
    let row = agents::living(&context, &caller).await?;
    caller.manages(&row.agent.owner)?;
    let mut response = ask(
        &context,
        &caller.repo,
        &row.agent.name,
        &Command::TestEndpoint,
        "",
    )
    .await?;
    text(200, response.text().await?)
}
