//! JSON Schemas (2020-12) of what is read by hand: names, ids, secrets and
//! the bodies of requests. They say exactly what the parsers beside the types
//! accept; the types that serde reads and writes derive theirs.
//!
//! What JSON Schema cannot say is in the descriptions: limits in bytes (a
//! length counts characters) and what depends on what is stored.

mod requests;
mod texts;

pub use texts::{AGENT_TYPE, IDEMPOTENCY_KEY, LABEL, PUBLIC_URL, SAYS_SOMETHING};

use serde_json::{Value, json};

/// `schema`, or `null`, which stands for absent.
fn or_null(schema: Value) -> Value {
    either(schema, json!({ "type": "null" }))
}

/// `schema`, or an empty text or `null`, which stand for absent.
fn or_empty(schema: Value) -> Value {
    either(schema, json!({ "type": ["string", "null"], "maxLength": 0 }))
}

/// `schema` with its annotations outside, or `other`.
fn either(schema: Value, other: Value) -> Value {
    let mut schema = schema;
    let mut whole = json!({});
    for word in ["description", "default", "examples"] {
        if let Some(value) = schema.as_object_mut().and_then(|map| map.remove(word)) {
            whole.as_object_mut().map(|map| map.insert(word.to_owned(), value));
        }
    }
    if let Some(map) = whole.as_object_mut() {
        map.insert("anyOf".to_owned(), json!([schema, other]));
    }
    whole
}

/// `schema` with a description.
fn described(mut schema: Value, description: &str) -> Value {
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".to_owned(), description.into());
    }
    schema
}
