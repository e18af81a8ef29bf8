//! The pushes of the coordinator, as Standard Webhooks.

use crate::examples;
use crate::schemas::Schemas;
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::message::Message;
use multiclaude_hybrid_protocol::push::{PushKind, TestedAgent};
use multiclaude_hybrid_protocol::spawn::SpawnRequest;
use serde_json::{Value, json};

/// One kind of push.
struct Push {
    kind: PushKind,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    data: Value,
    example: Value,
}

/// `webhooks` of the document.
pub(crate) fn all(schemas: &mut Schemas) -> Value {
    let time = schemas.of::<Timestamp>();
    let pushes = [
        Push {
            kind: PushKind::MessageCreated,
            id: "onMessage",
            summary: "A message for the agent",
            description: "Pushed to the agent's endpoint, in order, one at a time, until it is delivered. `webhook-id` is the message's id.",
            data: schemas.of::<Message>(),
            example: examples::message(),
        },
        Push {
            kind: PushKind::EndpointTest,
            id: "onEndpointTest",
            summary: "A test of the endpoint",
            description: "Sent by `testEndpoint`.",
            data: schemas.of::<TestedAgent>(),
            example: json!({ "repo": "acme/app", "agent": "merge-queue" }),
        },
        Push {
            kind: PushKind::SpawnRequested,
            id: "onSpawnRequest",
            summary: "A worker is asked for",
            description: "Pushed to the `spawn_endpoint` of the repo's configuration, signed under its `webhook_secret`. `webhook-id` is the request's id; a request that returned to `pending` gets a suffix, `spn_…_1`. The endpoint reports with `reportWorker`.",
            data: schemas.of::<SpawnRequest>(),
            example: examples::spawn(),
        },
    ];
    pushes
        .into_iter()
        .map(|push| (push.kind.as_str().to_owned(), json!({ "post": operation(push, &time) })))
        .collect()
}

fn operation(push: Push, time: &Value) -> Value {
    let header = |name: &str, description: &str| {
        json!({
            "name": name, "in": "header", "required": true, "description": description,
            "schema": { "type": "string" },
        })
    };
    let body = json!({
        "type": "object", "required": ["type", "timestamp", "data"],
        "properties": { "type": { "const": push.kind }, "timestamp": time, "data": push.data },
    });
    let example = json!({
        "type": push.kind, "timestamp": "2026-11-22T12:00:00.000Z", "data": push.example,
    });
    let mut delivered = json!({ "description": "Delivered. Any status from 200 to 299." });
    if push.kind == PushKind::MessageCreated {
        delivered = json!({
            "description": "Delivered. Any status from 200 to 299. `{\"status\": \"acked\"}` acknowledges the message, `{\"seen\": true}` reports that the agent itself has received it; both may be given.",
            "content": { "application/json": { "schema": {
                "type": "object",
                "properties": { "status": { "enum": ["acked"] }, "seen": { "const": true } },
            }, "examples": {
                "acknowledged": { "value": { "status": "acked" } },
                "seen": { "value": { "seen": true } },
            } } },
        });
    }
    json!({
        "operationId": push.id, "summary": push.summary, "description": push.description,
        "security": [],
        "parameters": [
            header("webhook-id", "The same on every attempt."),
            header("webhook-timestamp", "The attempt's time, in seconds since the epoch."),
            header("webhook-signature", "`v1,…`, one for each valid secret, separated by spaces."),
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": body, "example": example } } },
        "responses": {
            "2XX": delivered,
            "400": { "description": "400, 413, 415 and 422: refused for good. The message fails, and the next one is pushed." },
            "410": { "description": "The endpoint is turned off until it is set again, or a test of it succeeds." },
            "default": { "description": "Any other status, redirects included: pushed again later, or when `Retry-After` asks for it." },
        },
    })
}
