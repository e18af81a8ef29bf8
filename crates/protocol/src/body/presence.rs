//! Whether a field is required, and its value if it is absent.

use super::fields::Fields;
use super::rules::Rule;
use serde::Serialize;
use serde_json::Value;

/// How a field is read from a body and written into one.
pub(crate) trait Presence {
    /// The field's type.
    type Value;
    /// Is it required?
    const REQUIRED: bool = false;

    /// Takes the field; `None`: a fault was noted.
    fn take(&self, fields: &mut Fields, name: &str) -> Option<Self::Value>;

    /// The value to write; `None`: leave the field out.
    fn written<'a>(&self, value: &'a Self::Value) -> Option<impl Serialize + 'a>;

    /// The schema of its values.
    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> Value;
}

/// The rule of a field of type `T`.
pub(crate) fn of<T, P: Presence<Value = T>>(rule: P) -> P {
    rule
}

/// Is the field required?
pub(crate) fn is_required<P: Presence>(_: &P) -> bool {
    P::REQUIRED
}

/// A field that is required.
pub(crate) fn required<R: Rule>(rule: R) -> Required<R> {
    Required(rule)
}

/// A field that may be absent.
pub(crate) fn optional<R: Rule>(rule: R) -> Optional<R> {
    Optional { rule, empty_is_absent: false }
}

/// The same, and an empty text stands for absent: clients in Go send every field.
pub(crate) fn optional_or_empty<R: Rule>(rule: R) -> Optional<R> {
    Optional { rule, empty_is_absent: true }
}

/// A field whose value is `usual` if it is absent.
pub(crate) fn with_default<R: Rule>(usual: R::Value, rule: R) -> WithDefault<R> {
    WithDefault { usual, rule }
}

/// A boolean field that is left out if it is false.
pub(crate) fn flag() -> Flag {
    Flag { refuse_false: None }
}

/// The same, but `false` is refused, for this reason.
pub(crate) fn true_only(reason: &'static str) -> Flag {
    Flag { refuse_false: Some(reason) }
}

/// See [`flag`].
pub(crate) struct Flag {
    refuse_false: Option<&'static str>,
}

/// See [`required`].
pub(crate) struct Required<R>(R);

/// See [`optional`].
pub(crate) struct Optional<R> {
    rule: R,
    empty_is_absent: bool,
}

/// See [`with_default`].
pub(crate) struct WithDefault<R: Rule> {
    usual: R::Value,
    rule: R,
}

impl<R: Rule> Presence for Required<R> {
    type Value = R::Value;
    const REQUIRED: bool = true;

    fn take(&self, fields: &mut Fields, name: &str) -> Option<R::Value> {
        let Some(value) = fields.take(name) else {
            fields.fault(name, "is missing");
            return None;
        };
        self.0.read(value, name, fields)
    }

    fn written<'a>(&self, value: &'a R::Value) -> Option<impl Serialize + 'a> {
        Some(self.0.written(value))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> Value {
        self.0.schema(generator)
    }
}

impl<R: Rule> Presence for Optional<R> {
    type Value = Option<R::Value>;

    fn take(&self, fields: &mut Fields, name: &str) -> Option<Self::Value> {
        match fields.take(name) {
            None => Some(None),
            Some(Value::String(text)) if self.empty_is_absent && text.is_empty() => Some(None),
            Some(value) => self.rule.read(value, name, fields).map(Some),
        }
    }

    fn written<'a>(&self, value: &'a Self::Value) -> Option<impl Serialize + 'a> {
        value.as_ref().map(|value| self.rule.written(value))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> Value {
        let schema = self.rule.schema(generator);
        if self.empty_is_absent {
            crate::schema::or_empty(schema)
        } else {
            crate::schema::or_null(schema)
        }
    }
}

impl<R: Rule> Presence for WithDefault<R>
where
    R::Value: Clone,
{
    type Value = R::Value;

    fn take(&self, fields: &mut Fields, name: &str) -> Option<R::Value> {
        match fields.take(name) {
            None => Some(self.usual.clone()),
            Some(value) => self.rule.read(value, name, fields),
        }
    }

    fn written<'a>(&self, value: &'a R::Value) -> Option<impl Serialize + 'a> {
        Some(self.rule.written(value))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> Value {
        let mut schema = crate::schema::or_null(self.rule.schema(generator));
        let usual = serde_json::to_value(self.rule.written(&self.usual)).unwrap_or_default();
        // An empty list or object needs no default in the schema.
        let says = usual.as_array().is_none_or(|list| !list.is_empty())
            && usual.as_object().is_none_or(|map| !map.is_empty());
        if let Some(map) = schema.as_object_mut().filter(|_| says) {
            map.insert("default".to_owned(), usual);
        }
        schema
    }
}

impl Presence for Flag {
    type Value = bool;

    fn take(&self, fields: &mut Fields, name: &str) -> Option<bool> {
        let Some(value) = fields.take(name) else { return Some(false) };
        match (value.as_bool(), self.refuse_false) {
            (Some(false), Some(reason)) => fields.fault(name, reason),
            (None, _) => fields.wrong_type(name, "true or false", &value),
            (found, _) => return found,
        }
        None
    }

    fn written<'a>(&self, value: &'a bool) -> Option<impl Serialize + 'a> {
        value.then_some(true)
    }

    fn schema(&self, _: &mut schemars::SchemaGenerator) -> Value {
        match self.refuse_false {
            None => serde_json::json!({ "type": ["boolean", "null"], "default": false }),
            Some(_) => serde_json::json!({}),
        }
    }
}
