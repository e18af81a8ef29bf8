//! The fields of a body while it is read, and the faults found so far.

use super::error::BodyError;
use crate::error::FieldError;
use serde_json::{Map, Value};

/// The fields of one body that were not read yet.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    faults: Vec<FieldError>,
    too_large: Option<BodyError>,
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

fn json(body: &[u8]) -> Result<Value, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::Utf8(error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| BodyError::Json(error.to_string()))
}

impl Fields {
    fn new(map: Map<String, Value>) -> Self {
        Self { map, faults: Vec::new(), too_large: None }
    }

    /// Parses a body that must be a JSON object.
    pub(super) fn parse(body: &[u8]) -> Result<Self, BodyError> {
        match json(body)? {
            Value::Object(map) => Ok(Self::new(map)),
            other => Err(BodyError::NotAnObject(kind(&other))),
        }
    }

    /// Parses a body that must be a JSON array of at most `max` objects; each is a field
    /// named by its place.
    pub(super) fn parse_list(body: &[u8], max: usize) -> Result<Self, BodyError> {
        let items = match json(body)? {
            Value::Array(items) if items.len() <= max => items,
            Value::Array(_) => return Err(BodyError::TooMany(max)),
            other => return Err(BodyError::NotAList(kind(&other))),
        };
        match items.iter().find(|item| !item.is_object()) {
            Some(other) => Err(BodyError::NotAList(kind(other))),
            None => Ok(Self::new(
                items.into_iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
            )),
        }
    }

    /// How many fields are left.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Takes a field's value; null counts as absent.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.map.remove(field).filter(|value| !value.is_null())
    }

    /// Notes that `field` is wrong.
    pub fn fault(&mut self, field: &str, message: impl ToString) {
        self.faults.push(FieldError::new(field, message));
    }

    /// Notes that `field` has a value of the wrong type.
    pub(super) fn wrong_type(&mut self, field: &str, wanted: &str, found: &Value) {
        self.fault(field, format_args!("must be {wanted}, not {}", kind(found)));
    }

    /// Notes that a field for large texts is larger than it may be.
    pub(super) fn too_large(&mut self, field: &str, bytes: usize, max: usize) {
        self.too_large = Some(BodyError::TooLarge { field: field.to_owned(), bytes, max });
    }

    /// Reads the object in `field`, which must be there.
    pub(crate) fn nested<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mut nested = match self.take(field) {
            Some(Value::Object(map)) => Self::new(map),
            Some(other) => {
                self.wrong_type(field, "an object", &other);
                return None;
            }
            None => {
                self.fault(field, "is missing");
                return None;
            }
        };
        let read = read(&mut nested);
        for fault in nested.faults {
            self.fault(&format!("{field}.{}", fault.field), fault.message);
        }
        read
    }

    /// The value that `read` makes of the fields, if no fault was found.
    pub(super) fn finish<T>(
        mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, BodyError> {
        let read = read(&mut self);
        match (self.too_large, read) {
            (Some(too_large), _) => Err(too_large),
            (None, Some(read)) if self.faults.is_empty() => Ok(read),
            _ => Err(BodyError::Fields(self.faults)),
        }
    }
}
