//! Messages: send, list, acknowledge, receipt, stream.

use crate::operation::{Operation, get, patch, post};
use crate::parameters::{named, path, query};
use crate::schemas::Schemas;
use crate::{examples, links};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, NewMessage, Report};
use multiclaude_hybrid_protocol::{AgentName, ErrorCode, MessageId};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/repos/{owner}/{repo}/messages";
const MESSAGE: &str = "/v1/repos/{owner}/{repo}/messages/{id}";
const INBOX: &str = "/v1/repos/{owner}/{repo}/agents/{name}/messages";
const STREAM: &str = "/v1/repos/{owner}/{repo}/agents/{name}/stream";

const ABOUT_STREAM: &str = "Upgrades to a WebSocket. The coordinator sends the oldest pending message as \
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

const ABOUT_REPORT: &str = "At least one of `status` and `seen`. A status only moves forward; repeating a \
report changes nothing.

`\"seen\": true` means that the agent itself has received the message: report it on proof only. It makes \
a pending message `delivered`, sets `seen_at` once, and is never taken back. A `status` alone leaves \
`seen_at` absent.";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let message = schemas.of::<Message>();
    let (name, id) = (schemas.of::<AgentName>(), schemas.of::<MessageId>());
    let agent = path("name", "The recipient.", name, "merge-queue");
    let one = path("id", "The message's id.", id.clone(), examples::MESSAGE);
    let status = schemas.of::<MessageStatus>();
    vec![
        send(schemas.request::<NewMessage>(), message.clone()),
        list(agent.clone(), status, id, message.clone()),
        receipt(one.clone(), message.clone()),
        report(one, schemas.request::<Report>(), message),
        stream(agent),
    ]
}

fn send(new: Value, message: Value) -> Operation {
    let (this, example) = ([("id", "$response.body#/id")], examples::message);
    let body = json!({ "from": "workspace", "to": "merge-queue", "body": "please merge #12" });
    post(MESSAGES, "sendMessage", "Sends a message")
        .about("It is stored durably before it is answered.")
        .parameter(named("IdempotencyKey"))
        .agent_id()
        .body(new, true, &[("a message", body)])
        .answers(200, "The first message under this `Idempotency-Key`.", message.clone(), example())
        .answers(201, "It is stored.", message, example())
        .link("receipt", links::in_repo("getMessage", &this))
        .link("report", links::in_repo("reportMessage", &this))
        .fails(&[ErrorCode::AgentNotFound, ErrorCode::MailboxFull, ErrorCode::IdempotencyMismatch])
}

fn list(agent: Value, status: Value, id: Value, message: Value) -> Operation {
    let after = query("after", "The last message of the page before.", id);
    let seconds = json!({ "type": "integer", "minimum": 0, "maximum": 25 });
    get(INBOX, "listMessages", "An agent's messages, oldest first")
        .about(
            "Reading changes nothing. With `wait` an empty answer is held until a message arrives.",
        )
        .path_parameter(agent)
        .agent_id()
        .parameter(query("status", "Only of this status.", status))
        .parameter(query("wait", "Seconds to hold an empty answer.", seconds))
        .unchecked(named("Prefer"))
        .lists("Messages of this incarnation.", message, examples::message(), after)
        .fails(&[ErrorCode::AgentNotFound])
}

const GONE: [ErrorCode; 2] = [ErrorCode::MessageNotFound, ErrorCode::AgentNotFound];

fn receipt(one: Value, message: Value) -> Operation {
    get(MESSAGE, "getMessage", "The receipt, for sender and recipient")
        .path_parameter(one)
        .answers(200, "How far it has come.", message, examples::acked())
        .fails(&GONE)
}

fn report(one: Value, report: Value, message: Value) -> Operation {
    let bodies = [
        ("acknowledged", json!({ "status": "acked" })),
        ("seen", json!({ "seen": true })),
        ("seen and acknowledged", json!({ "status": "acked", "seen": true })),
    ];
    patch(MESSAGE, "reportMessage", "Reports that a message was delivered, seen or acknowledged")
        .about(ABOUT_REPORT)
        .path_parameter(one)
        .agent_id()
        .body(report, true, &bodies)
        .answers(200, "The message as it is now.", message, examples::acked())
        .fails(&GONE)
        .fails(&[ErrorCode::InvalidTransition])
}

/// The WebSocket.
fn stream(agent: Value) -> Operation {
    get(STREAM, "streamMessages", "An agent's messages, as they come")
        .about(ABOUT_STREAM)
        .path_parameter(agent)
        .agent_id()
        .nothing(101, "A WebSocket.")
        .fails(&[ErrorCode::AgentNotFound, ErrorCode::UpgradeRequired])
}
