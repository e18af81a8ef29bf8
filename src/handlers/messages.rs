//! Messages: send, list, acknowledge, receipt.

use crate::answer::Handled;
use crate::auth::acting_for;
use crate::caller::{Participant, RepoCaller};
use crate::context::Context;
use crate::error::{ApiError, forbidden};
use crate::extract::{Incarnation, Json};
use crate::idempotency::{self, IdempotencyKey};
use crate::mailbox::Command;
use crate::mailbox::command::{List, NEXT, SendingAgent, StoreMessage, wire_fields};
use crate::mailbox::door::send_command;
use crate::query::{Query, digits};
use multiclaude_hybrid_protocol::message::{MessageStatus, NewMessage, Report, Sender};
use multiclaude_hybrid_protocol::metadata::Metadata;
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::{AgentName, MessageId, Owner, Repo};
use serde::Serialize;
use worker::{Headers, Response};

/// The longest time that the answer of an empty list is held, in seconds.
const WAIT_MAX: u32 = 25;

/// The fields of a message's wire form that are known before the mailbox: the sender's, and
/// the owner and the repo that the coordinator verified.
#[derive(Serialize)]
struct SentFields<'a> {
    from: &'a Sender,
    from_owner: &'a Owner,
    to: &'a AgentName,
    repo: &'a Repo,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a MessageId>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

/// `POST …/messages`: stores a message (201), or returns the first one under the same
/// idempotency key (200).
pub async fn send(
    context: Context,
    Participant(caller): Participant,
    IdempotencyKey(key): IdempotencyKey,
    incarnation: Incarnation,
    Json(message): Json<NewMessage>,
) -> Handled {
    let sender = sender(&context, &caller, &incarnation, &message.from).await?;
    let fields = wire_fields(&SentFields {
        from: &message.from,
        from_owner: &caller.principal().owner,
        to: &message.to,
        repo: &caller.repo,
        body: &message.body,
        thread_id: message.thread_id.as_deref(),
        reply_to: message.reply_to.as_ref(),
        metadata: &message.metadata,
    })?;
    let key = key.map(|key| {
        let scope = format!("{}\n{}\n{key}", caller.principal().owner, message.from);
        // A TTL is at least 1, so 0 stands for none.
        let used_for = format!("{}\n{fields}", message.ttl_seconds.unwrap_or(0));
        (idempotency::hash(&scope), idempotency::hash(&used_for))
    });
    let command = Command::Send(StoreMessage {
        sender,
        key,
        ttl_secs: message.ttl_seconds,
        notice_for: None,
    });
    forward_body(send_command(&context, &caller.repo, &message.to, &command, &fields).await?)
}

/// 403 unless the caller may send as `from`. Returns the agent to notify of a failure.
async fn sender(
    context: &Context,
    caller: &RepoCaller,
    incarnation: &Incarnation,
    from: &Sender,
) -> Result<Option<SendingAgent>, ApiError> {
    let principal = caller.principal();
    let name = match from {
        Sender::User(owner) if principal.kind == TokenKind::User && *owner == principal.owner => {
            return Ok(None);
        }
        Sender::User(_) | Sender::System => {
            return Err(forbidden(&format!(
                "from: only a user token sends as a person, and only as its own owner. This token \
                 is a {} token of {}; send as a registered agent.",
                principal.kind.as_str(),
                principal.owner
            )));
        }
        Sender::Agent(name) => name,
    };
    let holder = acting_for(context, caller, incarnation, name, "from").await?;
    Ok(Some(SendingAgent { name: name.clone(), id: holder.id, owner: holder.owner }))
}

/// `GET …/agents/{name}/messages`: the agent's messages, oldest first.
pub async fn list(
    context: Context,
    caller: RepoCaller,
    name: AgentName,
    Incarnation(agent_id): Incarnation,
    query: Query,
) -> Handled {
    let after = query.parsed("after", |text| {
        MessageId::parse(text)
            .filter(|id| *id.agent() == name)
            .ok_or("must be the id of a message to this agent")
    })?;
    let command = Command::List(List {
        caller: caller.principal().clone(),
        agent_id,
        status: query.parsed("status", MessageStatus::parse)?,
        after: after.map_or(0, |id| id.seq()),
        limit: query.limit()?,
        wait_ms: u64::from(wait(&context, &query)?) * context.settings.timing.second.unsigned_abs(),
    });
    let response = send_command(&context, &caller.repo, &name, &command, "").await?;
    let next = response.headers().get(NEXT)?;
    query.linked(&context, forward_body(response)?, next)
}

/// The mailbox's answer, with its body unread.
fn forward_body(response: Response) -> Handled {
    let status = response.status_code();
    let (_, body) = response.into_parts();
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    Ok(Response::from_body(body)?.with_headers(headers).with_status(status))
}

/// Seconds to hold an empty answer: `?wait=`, else `Prefer: wait=n` (RFC 7240),
/// which is a preference and so is capped instead of refused.
fn wait(context: &Context, query: &Query) -> Result<u32, ApiError> {
    if let Some(wait) = query.number("wait", 0..=WAIT_MAX)? {
        return Ok(wait);
    }
    let prefer = context.request.headers().get("prefer")?.unwrap_or_default();
    let wait = prefer.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let wanted = name.trim().eq_ignore_ascii_case("wait");
        wanted.then(|| digits(value.trim().trim_matches('"')))?
    });
    Ok(wait.unwrap_or(0).min(WAIT_MAX))
}

/// `GET …/messages/{id}`: the receipt, for sender and recipient.
pub async fn receipt(context: Context, caller: RepoCaller, id: MessageId) -> Handled {
    let command =
        Command::Receipt { caller: caller.principal().clone(), seq: id.seq(), uuid: id.uuid_hex() };
    forward_body(send_command(&context, &caller.repo, id.agent(), &command, "").await?)
}

/// `PATCH …/messages/{id}`: reports that a message was delivered, seen or acknowledged.
pub async fn report(
    context: Context,
    caller: RepoCaller,
    id: MessageId,
    Incarnation(agent_id): Incarnation,
    Json(report): Json<Report>,
) -> Handled {
    let command = Command::Report {
        caller: caller.principal().clone(),
        agent_id,
        seq: id.seq(),
        uuid: id.uuid_hex(),
        report,
    };
    forward_body(send_command(&context, &caller.repo, id.agent(), &command, "").await?)
}
