//! The schemas of the wire types, collected under `#/components/schemas`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The schemas that operations refer to.
pub(crate) struct Schemas {
    generator: SchemaGenerator,
    requests: BTreeSet<String>,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { generator: settings.into_generator(), requests: BTreeSet::new() }
    }

    /// A reference to the schema of an answer or a push.
    pub(crate) fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// A reference to the schema of a request's body.
    pub(crate) fn request<T: JsonSchema>(&mut self) -> Value {
        self.requests.insert(T::schema_name().into_owned());
        self.of::<T>()
    }

    /// All schemas that were referred to.
    pub(crate) fn finish(mut self) -> Map<String, Value> {
        let mut all = self.generator.take_definitions(true);
        for (name, schema) in &mut all {
            if !self.requests.contains(name) {
                absent_not_null(schema);
            }
        }
        all
    }
}

/// Removes `null` from the schemas of answers: the coordinator leaves absent fields out, but
/// the derive of an `Option` adds `null`.
fn absent_not_null(schema: &mut Value) {
    let required = array_of(schema, "required");
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if !required.iter().any(|known| known == name) {
            without_null(property);
        }
    }
}

fn array_of(schema: &Value, member: &str) -> Vec<Value> {
    schema.get(member).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn without_null(schema: &mut Value) {
    let (mut types, mut choices) = (array_of(schema, "type"), array_of(schema, "anyOf"));
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    types.retain(|kind| kind != "null");
    if let [only] = types.as_slice() {
        map.insert("type".to_owned(), only.clone());
    }
    choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    if let [Value::Object(only)] = choices.as_slice() {
        map.remove("anyOf");
        map.extend(only.clone());
    }
}
