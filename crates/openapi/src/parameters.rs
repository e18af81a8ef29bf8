//! Parameters of paths, queries and headers.

use multiclaude_hybrid_protocol::schema::patterns::IDEMPOTENCY_KEY;
use serde_json::{Value, json};

/// `#/components/parameters`: the two halves of a repo, and headers.
pub(crate) fn shared() -> Value {
    json!({
        "Owner": {
            "name": "owner", "in": "path", "required": true, "description": "The repository's owner.",
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$" }, "example": "acme",
        },
        "Repo": {
            "name": "repo", "in": "path", "required": true, "description": "The repository's name.",
            "schema": { "type": "string", "pattern": "^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,100}$" }, "example": "app",
        },
        "AgentId": {
            "name": "Agent-Id", "in": "header",
            "description": "The incarnation that the caller believes to act for. If it has ended, the answer is 409 `agent_superseded`.",
            "schema": or_empty(json!({ "$ref": "#/components/schemas/AgentId" })),
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "description": "Makes a repeat safe: the same request under the same key gets the first answer, for 8 days.",
            "schema": { "type": "string", "pattern": IDEMPOTENCY_KEY },
        },
        "IfMatch": {
            "name": "If-Match", "in": "header", "description": "The `ETag` of the version to replace.",
            "schema": { "type": "string" }, "example": "\"3\"",
        },
        "Prefer": {
            "name": "Prefer", "in": "header", "description": "`wait=n`, where `wait` is absent from the query (RFC 7240).",
            "schema": { "type": "string" },
        },
        "Limit": {
            "name": "limit", "in": "query", "description": "Entries of a page.",
            "schema": or_empty(json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 100 })),
        },
    })
}

/// A reference to one of them.
pub(crate) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// A segment of the path.
pub(crate) fn path(name: &str, description: &str, schema: Value, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": schema, "example": example,
    })
}

/// A parameter of the query.
pub(crate) fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "schema": or_empty(schema),
    })
}

/// `schema`, or an empty text, which counts as absent.
fn or_empty(schema: Value) -> Value {
    if schema == json!({ "type": "string" }) {
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "string", "maxLength": 0 }] })
}
