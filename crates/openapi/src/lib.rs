//! The OpenAPI 3.1 document of the Coordination API, made from the wire types
//! of `multiclaude-hybrid-protocol`. The binary prints it; the build serves it
//! at `/v1/openapi.json`.
//!
//! | module | contents |
//! |---|---|
//! | `schemas` | the schemas of the wire types, under `#/components/schemas` |
//! | `operation` | the builder of one operation |
//! | `parameters`, `problems`, `links` | shared parts of operations |
//! | `paths` | every operation, one file per resource |
//! | `webhooks` | the pushes of the coordinator |
//! | `examples` | example values for readers and tests |
//!
//! *In scope:* operations, their callers and their answers.
//! *Out of scope:* the schemas of bodies, which are beside their parsers.

mod examples;
mod links;
mod operation;
mod parameters;
mod paths;
mod problems;
mod schemas;
mod webhooks;

#[cfg(test)]
mod tests;

use schemas::Schemas;
use serde_json::{Map, Value, json};

/// The text at the top of the document.
const INTRODUCTION: &str = include_str!("introduction.md");

/// The document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for operation in paths::all(&mut schemas) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({})).as_object_mut();
        if let Some(path) = path {
            path.insert(operation.method.to_owned(), operation.into_value(&mut schemas));
        }
    }
    let webhooks = webhooks::all(&mut schemas);
    let problem = schemas.of::<multiclaude_hybrid_protocol::error::Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "multiclaude-hybrid Coordination API",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Registry, mailboxes and spawning for multiclaude agents on several machines.",
            "description": format!("{INTRODUCTION}\n{}", problems::table()),
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/", "description": "The coordinator that serves this document." }],
        "security": [{ "bearer": [] }],
        "tags": paths::tags(),
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas.finish(),
            "parameters": parameters::shared(),
            "headers": problems::headers(),
            "responses": problems::anywhere(&problem),
            "securitySchemes": security_schemes(),
        },
    })
}

fn security_schemes() -> Value {
    let header = |name: &str, description: &str| json!({ "type": "apiKey", "in": "header", "name": name, "description": description });
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "A token: `mca_` (admin), `mcu_` (user) or `mcs_` (service), then 43 base62 digits and a checksum of 6.",
        },
        "webhookId": header("webhook-id", "The id of the callback; each is accepted once per repo."),
        "webhookTimestamp": header("webhook-timestamp", "Seconds since the epoch, at most five minutes off."),
        "webhookSignature": header("webhook-signature", "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body` under the repo's `webhook_secret`."),
    })
}
