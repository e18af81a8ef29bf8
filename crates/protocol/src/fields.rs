//! Reads a JSON body field by field, and names every fault instead of the
//! first one.
//!
//! An absent field and `null` are the same; unknown fields are ignored.

use crate::error::FieldError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Flexible key-value pairs of an agent or a message.
pub type Metadata = BTreeMap<String, String>;

/// Entries that [`Metadata`] may have.
pub const METADATA_MAX_ENTRIES: usize = 32;
/// Bytes that its keys and values may have together.
pub const METADATA_MAX_BYTES: usize = 4096;

/// Why a body is not a JSON object.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The bytes are no text.
    #[error("the body is not UTF-8: byte {0} starts no valid character")]
    Utf8(usize),
    /// The text is no JSON.
    #[error("the body is not JSON: {0}")]
    Json(serde_json::Error),
    /// The JSON is no array of objects.
    #[error("the body must be a JSON array of objects, [{{…}}, …]; there is {0}")]
    NotAList(&'static str),
    /// The array is too long.
    #[error("the array has more than {0} entries; send the rest with another request")]
    TooMany(usize),
    /// The JSON is no object.
    #[error("the body must be a JSON object, {{…}}, not {0}")]
    NotAnObject(&'static str),
}

/// The fields of one body, and the faults found so far.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    faults: Vec<FieldError>,
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl Fields {
    /// Parses `body`, which must hold one JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let text =
            std::str::from_utf8(body).map_err(|error| BodyError::Utf8(error.valid_up_to()))?;
        match serde_json::from_str(text).map_err(BodyError::Json)? {
            Value::Object(map) => Ok(Self { map, faults: Vec::new() }),
            other => Err(BodyError::NotAnObject(kind(&other))),
        }
    }

    /// Parses `body`, which must hold one JSON array of at most `max` objects.
    pub fn parse_list(body: &[u8], max: usize) -> Result<Vec<Self>, BodyError> {
        let text =
            std::str::from_utf8(body).map_err(|error| BodyError::Utf8(error.valid_up_to()))?;
        let items = match serde_json::from_str(text).map_err(BodyError::Json)? {
            Value::Array(items) if items.len() <= max => items,
            Value::Array(_) => return Err(BodyError::TooMany(max)),
            other => return Err(BodyError::NotAList(kind(&other))),
        };
        let object = |item| match item {
            Value::Object(map) => Ok(Self { map, faults: Vec::new() }),
            other => Err(BodyError::NotAList(kind(&other))),
        };
        items.into_iter().map(object).collect()
    }

    /// Notes that `field` is wrong.
    pub fn fault(&mut self, field: &str, message: impl ToString) {
        self.note(field, message.to_string());
    }

    fn note(&mut self, field: &str, message: String) {
        self.faults.push(FieldError::new(field, message));
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        self.map.remove(field).filter(|value| !value.is_null())
    }

    fn wrong_type(&mut self, field: &str, wanted: &str, found: &Value) {
        self.fault(field, format_args!("must be {wanted}, not {}", kind(found)));
    }

    /// A text, if there.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong_type(field, "a string", &other);
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, field: &str) -> Option<String> {
        if self.map.get(field).is_none_or(Value::is_null) {
            self.fault(field, "is missing");
            return None;
        }
        self.text(field)
    }

    /// A text, if there, through `parse`.
    pub fn parsed<T, E: Display>(
        &mut self,
        field: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(field)?;
        parse(&text).map_err(|error| self.fault(field, error)).ok()
    }

    /// A text that must be there, through `parse`.
    pub fn required<T, E: Display>(
        &mut self,
        field: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.required_text(field)?;
        parse(&text).map_err(|error| self.fault(field, error)).ok()
    }

    /// A whole number within `range`, if there; `30.0` is one, too.
    pub fn integer(&mut self, field: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(field)?;
        let whole = |number: &f64| number.fract() == 0.0 && number.abs() < 9e15;
        let number =
            value.as_i64().or_else(|| value.as_f64().filter(whole).map(|number| number as i64));
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            let (from, to) = range.into_inner();
            self.fault(field, format_args!("must be a whole number from {from} to {to}"));
        }
        found
    }

    /// `true` or `false`, if there.
    pub fn boolean(&mut self, field: &str) -> Option<bool> {
        match self.take(field)? {
            Value::Bool(value) => Some(value),
            other => {
                self.wrong_type(field, "true or false", &other);
                None
            }
        }
    }

    /// An array of texts, if there, each through `parse`.
    pub fn list<T, E: Display>(
        &mut self,
        field: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = match self.take(field)? {
            Value::Array(items) => items,
            other => {
                self.wrong_type(field, "an array of strings", &other);
                return None;
            }
        };
        let mut list = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let name = format!("{field}.{at}");
            match item.as_str().map(&parse) {
                Some(Ok(value)) => list.push(value),
                Some(Err(error)) => self.fault(&name, error),
                None => self.wrong_type(&name, "a string", item),
            }
        }
        Some(list)
    }

    /// A nested object that must be there, to be read like a body of its own.
    pub fn object(&mut self, field: &str) -> Option<Self> {
        match self.take(field) {
            Some(Value::Object(map)) => Some(Self { map, faults: Vec::new() }),
            Some(other) => {
                self.wrong_type(field, "an object", &other);
                None
            }
            None => {
                self.fault(field, "is missing");
                None
            }
        }
    }

    /// Takes over the faults of the object that was nested in `field`.
    pub fn faults_of(&mut self, field: &str, nested: Self) {
        for fault in nested.faults {
            self.fault(&format!("{field}.{}", fault.field), fault.message);
        }
    }

    /// A map of texts within the limits of [`Metadata`], if there.
    pub fn metadata(&mut self, field: &str) -> Option<Metadata> {
        let entries = match self.take(field)? {
            Value::Object(entries) => entries,
            other => {
                self.wrong_type(field, "an object of strings", &other);
                return None;
            }
        };
        let mut metadata = Metadata::new();
        let mut bytes = 0;
        for (key, value) in entries {
            match value {
                Value::String(text) => {
                    bytes += key.len() + text.len();
                    metadata.insert(key, text);
                }
                other => self.wrong_type(&format!("{field}.{key}"), "a string", &other),
            }
        }
        if metadata.len() > METADATA_MAX_ENTRIES {
            self.fault(field, format_args!("has more than {METADATA_MAX_ENTRIES} entries"));
        } else if bytes > METADATA_MAX_BYTES {
            self.fault(field, format_args!("is larger than {METADATA_MAX_BYTES} bytes"));
        }
        Some(metadata)
    }

    /// Was a fault found?
    pub fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// `value` if no fault was found, else all faults.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.faults),
        }
    }
}

#[cfg(test)]
mod tests;
