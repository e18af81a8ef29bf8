//! JSON Schemas (2020-12) of texts with a form, and helpers for the schemas of bodies (see
//! [`crate::body`]). The types that serde reads and writes derive theirs.
//!
//! Rules that JSON Schema cannot express are in the descriptions: limits in bytes (a length
//! counts characters) and rules that depend on stored data.

pub mod patterns;
mod texts;

use serde_json::{Map, Value, json};

/// `schema`, or `null`, which stands for absent.
pub(crate) fn or_null(mut schema: Value) -> Value {
    match schema.get_mut("type") {
        Some(kind @ Value::String(_)) => {
            *kind = json!([kind, "null"]);
            schema
        }
        _ => either(schema, json!({ "type": "null" })),
    }
}

/// `schema`, or an empty text or `null`, which stand for absent.
pub(crate) fn or_empty(schema: Value) -> Value {
    either(schema, json!({ "type": ["string", "null"], "maxLength": 0 }))
}

/// `schema` with its annotations outside, or `other`.
fn either(mut schema: Value, other: Value) -> Value {
    let mut whole = Map::new();
    for word in ["description", "default", "examples"] {
        whole.extend(schema.as_object_mut().and_then(|map| map.remove_entry(word)));
    }
    whole.insert("anyOf".to_owned(), json!([schema, other]));
    whole.into()
}

/// The schema of a body, while it is made.
pub(crate) struct Object {
    about: String,
    required: Vec<&'static str>,
    properties: Map<String, Value>,
    also: Value,
}

impl Object {
    pub(crate) fn new(about: &str) -> Self {
        let about = about.trim().to_owned();
        Self { about, required: Vec::new(), properties: Map::new(), also: json!({}) }
    }

    /// Adds a field.
    pub(crate) fn property(
        &mut self,
        name: &'static str,
        doc: &str,
        required: bool,
        schema: Value,
    ) {
        let mut schema = schema;
        if let Some(map) = schema.as_object_mut() {
            let more = map.get("description").and_then(Value::as_str).unwrap_or_default();
            let description = format!("{} {more}", doc.trim());
            map.insert("description".to_owned(), description.trim().into());
        }
        self.properties.insert(name.to_owned(), schema);
        if required {
            self.required.push(name);
        }
    }

    /// Adds rules about several fields.
    pub(crate) fn also(&mut self, also: Value) {
        self.also = also;
    }
}

impl From<Object> for schemars::Schema {
    fn from(object: Object) -> Self {
        let mut schema = json!({
            "type": "object", "description": object.about, "required": object.required,
            "properties": object.properties,
        });
        if let (Some(map), Value::Object(also)) = (schema.as_object_mut(), object.also) {
            map.extend(also);
        }
        // An object is always a schema.
        schema.try_into().unwrap_or_default()
    }
}
