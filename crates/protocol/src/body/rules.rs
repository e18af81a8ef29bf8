//! Rules for a field's value: how it is read and written, and its schema.

use super::fields::Fields;
use crate::metadata::{METADATA_MAX_BYTES, METADATA_MAX_ENTRIES, Metadata};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A rule for the value of a field.
pub(crate) trait Rule {
    /// The value in the type.
    type Value;

    /// Reads the value of the field `name`; `None`: a fault was noted.
    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<Self::Value>;

    /// The value as it is written.
    fn written<'a>(&self, value: &'a Self::Value) -> impl Serialize + 'a;

    /// The schema of the value.
    fn schema(&self, generator: &mut SchemaGenerator) -> Value;
}

/// Reads a text, or notes that the value is not one.
pub(crate) fn text_of(value: Value, name: &str, fields: &mut Fields) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        other => {
            fields.wrong_type(name, "a string", &other);
            None
        }
    }
}

/// A text that `T` reads.
pub(crate) fn parsed<T>() -> Parsed<T> {
    Parsed(PhantomData)
}

/// See [`parsed`].
pub(crate) struct Parsed<T>(PhantomData<T>);

impl<T: FromStr<Err = String> + Serialize + JsonSchema> Rule for Parsed<T> {
    type Value = T;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<T> {
        let text = text_of(value, name, fields)?;
        T::from_str(&text).map_err(|error| fields.fault(name, error)).ok()
    }

    fn written<'a>(&self, value: &'a T) -> impl Serialize + 'a {
        value
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        generator.subschema_for::<T>().to_value()
    }
}

/// The secret of an endpoint, which is written in clear.
pub(crate) struct WebhookSecret;

impl Rule for WebhookSecret {
    type Value = crate::webhook::Secret;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<Self::Value> {
        let text = text_of(value, name, fields)?;
        Self::Value::parse(&text).map_err(|error| fields.fault(name, error)).ok()
    }

    fn written<'a>(&self, value: &'a Self::Value) -> impl Serialize + 'a {
        value.reveal()
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        generator.subschema_for::<Self::Value>().to_value()
    }
}

/// A whole number within a range; `30.0` is allowed.
pub(crate) fn integer<T>(range: RangeInclusive<i64>) -> Integer<T> {
    Integer { range, of: PhantomData }
}

/// See [`integer`].
pub(crate) struct Integer<T> {
    range: RangeInclusive<i64>,
    of: PhantomData<T>,
}

impl<T: TryFrom<i64> + Serialize> Rule for Integer<T> {
    type Value = T;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<T> {
        let whole = |number: &f64| number.fract() == 0.0 && number.abs() < 9e15;
        let number =
            value.as_i64().or_else(|| value.as_f64().filter(whole).map(|number| number as i64));
        let found = number.filter(|number| self.range.contains(number));
        let found = found.and_then(|number| T::try_from(number).ok());
        if found.is_none() {
            let (from, to) = (self.range.start(), self.range.end());
            fields.fault(name, format_args!("must be a whole number from {from} to {to}"));
        }
        found
    }

    fn written<'a>(&self, value: &'a T) -> impl Serialize + 'a {
        value
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Value {
        json!({ "type": "integer", "minimum": self.range.start(), "maximum": self.range.end() })
    }
}

/// An array of at most `max` texts.
pub(crate) fn list<R: Rule>(max: usize, rule: R) -> List<R> {
    List { max, rule }
}

/// See [`list`].
pub(crate) struct List<R> {
    max: usize,
    rule: R,
}

impl<R: Rule> Rule for List<R>
where
    R::Value: Serialize,
{
    type Value = Vec<R::Value>;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<Self::Value> {
        let Value::Array(items) = value else {
            fields.wrong_type(name, "an array of strings", &value);
            return None;
        };
        if items.len() > self.max {
            fields.fault(name, format_args!("has more than {} entries", self.max));
            return None;
        }
        let mut list = Vec::with_capacity(items.len());
        let all = items.len();
        for (at, item) in items.into_iter().enumerate() {
            list.extend(self.rule.read(item, &format!("{name}.{at}"), fields));
        }
        (list.len() == all).then_some(list)
    }

    fn written<'a>(&self, value: &'a Self::Value) -> impl Serialize + 'a {
        value
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        json!({ "type": "array", "items": self.rule.schema(generator), "maxItems": self.max })
    }
}

/// A map of texts within the limits of [`Metadata`].
pub(crate) struct Pairs;

impl Rule for Pairs {
    type Value = Metadata;

    fn read(&self, value: Value, name: &str, fields: &mut Fields) -> Option<Metadata> {
        let Value::Object(entries) = value else {
            fields.wrong_type(name, "an object of strings", &value);
            return None;
        };
        let (count, mut bytes) = (entries.len(), 0);
        let mut metadata = Metadata::new();
        for (key, value) in entries {
            let at = format!("{name}.{key}");
            if let Some(text) = text_of(value, &at, fields) {
                bytes += key.len() + text.len();
                metadata.insert(key, text);
            }
        }
        if count > METADATA_MAX_ENTRIES {
            fields.fault(name, format_args!("has more than {METADATA_MAX_ENTRIES} entries"));
        } else if bytes > METADATA_MAX_BYTES {
            fields.fault(name, format_args!("is larger than {METADATA_MAX_BYTES} bytes"));
        } else if metadata.len() == count {
            return Some(metadata);
        }
        None
    }

    fn written<'a>(&self, value: &'a Metadata) -> impl Serialize + 'a {
        value
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Value {
        json!({
            "type": "object", "additionalProperties": { "type": "string" },
            "maxProperties": METADATA_MAX_ENTRIES,
            "description": format!("Keys and values have at most {METADATA_MAX_BYTES} bytes together."),
        })
    }
}
