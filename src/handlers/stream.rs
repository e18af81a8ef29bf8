//! An agent's messages as a stream.

use crate::answer::Handled;
use crate::caller::RepoCaller;
use crate::context::Context;
use crate::error::ApiError;
use crate::extract::Incarnation;
use crate::mailbox::command::OpenStream;
use crate::mailbox::door::open_stream;
use multiclaude_hybrid_protocol::{AgentName, ErrorCode};
use worker::Response;

/// `GET …/agents/{name}/stream`: a WebSocket that sends the oldest pending message, and
/// after the answer `{"id", "status"}` the next one.
pub async fn open(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    Incarnation(agent_id): Incarnation,
) -> Handled {
    let upgrade = context.request.headers().get("upgrade")?;
    if !upgrade.is_some_and(|wanted| wanted.eq_ignore_ascii_case("websocket")) {
        return Err(ApiError::new(
            ErrorCode::UpgradeRequired,
            "This is a WebSocket: the request needs Upgrade: websocket. Without one, a list of the \
             agent's messages can wait for the next one (wait=25).",
        ));
    }
    let client = OpenStream {
        caller: caller.principal().clone(),
        agent_id,
        token_id: caller.caller.token_id.clone(),
        token_ends: caller.caller.expires_at,
    };
    let response = open_stream(&context, &caller.repo, &name, &client).await?;
    let socket =
        response.websocket().ok_or_else(|| ApiError::internal("the mailbox opened no stream"))?;
    Ok(Response::from_websocket(socket)?)
}
