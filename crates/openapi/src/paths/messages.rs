//! Messages: send, list, acknowledge, receipt, stream.

use crate::operation::{Operation, get, patch, post};
use crate::parameters::{named, path, query};
use crate::schemas::Schemas;
use crate::{examples, links};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, NewMessage, Report};
use multiclaude_hybrid_protocol::{AgentName, ErrorCode, MessageId};
use serde_json::json;

const STREAM: &str = "Upgrades to a WebSocket. The coordinator sends the oldest pending message as \
one JSON text, a `Message`; the client answers `{\"id\": \"msg_…\"}` with a `Report`: `\"status\": \
\"delivered\" | \"acked\"`, `\"seen\": true`, or both. Then the next one comes. An invalid \
frame is answered with a problem document, which has a `code`. The text `ping` is answered `pong`.

A message without an answer is offered again after 30 s; after three unanswered offers, or one if an \
endpoint is set, the stream is closed. While a stream is open, nothing is pushed. There is one \
stream per incarnation.

| close code | reason |
|---|---|
| 4401 | `unauthenticated`: the token has ended |
| 4404 | `agent_not_found`: deregistered |
| 4408 | `unanswered` |
| 4409 | `stream_replaced` by a newer one, or `agent_superseded` |
| 1009 | `frame_too_large`: a frame was binary or larger than 1 KiB |";

const REPORT: &str = "At least one of `status` and `seen`. A status only moves forward; repeating a \
report changes nothing.

`\"seen\": true` means that the agent itself has received the message: report it on proof only. It makes \
a pending message `delivered`, sets `seen_at` once, and is never taken back. A `status` alone leaves \
`seen_at` absent.";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let (message, new) = (schemas.of::<Message>(), schemas.request::<NewMessage>());
    let (name, id) = (schemas.of::<AgentName>(), schemas.of::<MessageId>());
    let (status, report) = (schemas.of::<MessageStatus>(), schemas.request::<Report>());
    let example = examples::message;
    let this = [("id", "$response.body#/id")];
    let agent = path("name", "The recipient.", name, "merge-queue");
    let one = path("id", "The message's id.", id.clone(), examples::MESSAGE);
    let gone = [ErrorCode::MessageNotFound, ErrorCode::AgentNotFound];
    let all = vec![
        post("/v1/repos/{owner}/{repo}/messages", "sendMessage", "Sends a message")
            .about("It is stored durably before it is answered.")
            .parameter(named("IdempotencyKey"))
            .agent_id()
            .body(
                new,
                true,
                &[(
                    "a message",
                    json!({ "from": "workspace", "to": "merge-queue", "body": "please merge #12" }),
                )],
            )
            .answers(
                200,
                "The first message under this `Idempotency-Key`.",
                message.clone(),
                example(),
            )
            .answers(201, "It is stored.", message.clone(), example())
            .link("receipt", links::in_repo("getMessage", &this))
            .link("report", links::in_repo("reportMessage", &this))
            .fails(&[
                ErrorCode::AgentNotFound,
                ErrorCode::MailboxFull,
                ErrorCode::IdempotencyMismatch,
            ]),
        get(
            "/v1/repos/{owner}/{repo}/agents/{name}/messages",
            "listMessages",
            "An agent's messages, oldest first",
        )
        .about(
            "Reading changes nothing. With `wait` an empty answer is held until a message arrives.",
        )
        .path_parameter(agent.clone())
        .agent_id()
        .parameter(query("status", "Only of this status.", status))
        .parameter(query(
            "wait",
            "Seconds to hold an empty answer.",
            json!({ "type": "integer", "minimum": 0, "maximum": 25 }),
        ))
        .unchecked(named("Prefer"))
        .answers(
            200,
            "Messages of this incarnation.",
            json!({ "type": "array", "items": message }),
            json!([example()]),
        )
        .pages(query("after", "The last message of the page before.", id))
        .fails(&[ErrorCode::AgentNotFound]),
        get(
            "/v1/repos/{owner}/{repo}/messages/{id}",
            "getMessage",
            "The receipt, for sender and recipient",
        )
        .path_parameter(one.clone())
        .answers(200, "How far it has come.", message.clone(), examples::acked())
        .fails(&gone),
        patch(
            "/v1/repos/{owner}/{repo}/messages/{id}",
            "reportMessage",
            "Reports that a message was delivered, seen or acknowledged",
        )
        .about(REPORT)
        .path_parameter(one)
        .agent_id()
        .body(
            report,
            true,
            &[
                ("acknowledged", json!({ "status": "acked" })),
                ("seen", json!({ "seen": true })),
                ("seen and acknowledged", json!({ "status": "acked", "seen": true })),
            ],
        )
        .answers(200, "The message as it is now.", message, examples::acked())
        .fails(&gone)
        .fails(&[ErrorCode::InvalidTransition]),
        stream(agent),
    ];
    all.into_iter().map(|operation| operation.tag("Messages")).collect()
}

/// The WebSocket.
fn stream(agent: serde_json::Value) -> Operation {
    get(
        "/v1/repos/{owner}/{repo}/agents/{name}/stream",
        "streamMessages",
        "An agent's messages, as they come",
    )
    .about(STREAM)
    .path_parameter(agent)
    .agent_id()
    .nothing(101, "A WebSocket.")
    .fails(&[ErrorCode::AgentNotFound, ErrorCode::UpgradeRequired])
}
