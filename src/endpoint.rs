//! Checks an agent's endpoint, and configures its mailbox.

use crate::context::{self, Context};
use crate::error::ApiError;
use crate::mailbox::Command;
use crate::mailbox::command::Configured;
use crate::mailbox::door::{self, send_command};
use multiclaude_hybrid_core::endpoint::{self, EndpointError, ParsedUrl, Rules};
use multiclaude_hybrid_core::mailbox::{ConfigureRequest, Kind};
use multiclaude_hybrid_core::registry::Row;
use multiclaude_hybrid_protocol::agent::{ENDPOINT_MAX, EndpointChange};
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::webhook::Secret;

/// Checks an endpoint against the rules, and returns it in its canonical form.
pub fn check_endpoint(
    change: EndpointChange,
    context: &Context,
    field: &str,
) -> Result<EndpointChange, ApiError> {
    match change {
        EndpointChange::Set(url) => check_url(&url, context, field).map(EndpointChange::Set),
        EndpointChange::Keep | EndpointChange::Clear => Ok(change),
    }
}

/// The same for a URL.
pub fn check_url(text: &str, context: &Context, field: &str) -> Result<String, ApiError> {
    let refuse = |error: EndpointError| ApiError::fields(vec![FieldError::new(field, error)]);
    endpoint::check_text(text).map_err(refuse)?;
    let url = web_sys::Url::new(text).map_err(|_| refuse(EndpointError::Scheme))?;
    let (scheme, host, port) = (url.protocol(), url.hostname(), url.port());
    let parsed = ParsedUrl {
        scheme: scheme.trim_end_matches(':'),
        host: &host,
        port: &port,
        has_user_info: !url.username().is_empty() || !url.password().is_empty(),
    };
    let rules = Rules {
        own_host: context::host(&context.url),
        allow_insecure: context.settings.allow_insecure,
    };
    endpoint::check(parsed, rules).map_err(refuse)?;
    let href = url.href();
    if href.len() > ENDPOINT_MAX {
        return Err(refuse(EndpointError::Length));
    }
    Ok(href)
}

/// Configures the mailbox as its row says, after this change of the endpoint; returns a
/// generated secret. `rotate` replaces the secret by a generated one.
pub async fn configure(
    context: &Context,
    row: &Row,
    secret: Option<&Secret>,
    change: &EndpointChange,
    rotate: bool,
) -> Result<Option<String>, ApiError> {
    let agent = &row.agent;
    let command = Command::Configure {
        request: ConfigureRequest {
            kind: Some(Kind::Agent),
            agent_id: agent.id.clone(),
            owner: agent.owner.clone(),
            version: row.version,
            endpoint: (!agent.endpoint.is_empty()).then(|| agent.endpoint.clone()),
            // Setting it counts even if it is the same URL.
            sets_endpoint: matches!(change, EndpointChange::Set(_)),
        },
        secret: secret.map(Secret::reveal),
        rotate,
    };
    let response = send_command(context, &agent.repo, &agent.name, &command, "").await?;
    let configured: Configured = door::json(response).await?;
    Ok(configured.webhook_secret)
}
