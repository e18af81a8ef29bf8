//! Why a body was refused.

use crate::error::FieldError;

/// Why a body was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The bytes are not UTF-8.
    #[error("the body is not UTF-8: byte {0} does not start a valid character")]
    Utf8(usize),
    /// The text is not JSON, for this reason.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// The JSON is not an array of objects.
    #[error("the body must be a JSON array of objects, [{{…}}, …]; there is {0}")]
    NotAList(&'static str),
    /// The array is too long.
    #[error("the array has more than {0} entries; send the rest with another request")]
    TooMany(usize),
    /// The JSON is not an object.
    #[error("the body must be a JSON object, {{…}}, not {0}")]
    NotAnObject(&'static str),
    /// A field for large texts is larger than it may be.
    #[error("{field} has {bytes} bytes; {max} are allowed")]
    TooLarge {
        /// The field.
        field: String,
        /// Bytes that it has.
        bytes: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// These fields are not valid.
    #[error("some fields are not valid")]
    Fields(Vec<FieldError>),
}
