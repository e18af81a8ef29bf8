//! Changes that are written only if the row that they were decided on is still the same.

use crate::error::ApiError;
use multiclaude_hybrid_protocol::ErrorCode;

/// Tries of one change. Each time one of those that write at once succeeds, so this is
/// also how many may.
const TRIES: u32 = 32;

/// Reads, decides and writes again until no other change came between. An attempt answers
/// `None` if one did.
pub async fn until_written<T>(
    mut attempt: impl AsyncFnMut() -> Result<Option<T>, ApiError>,
) -> Result<T, ApiError> {
    for _ in 0..TRIES {
        if let Some(done) = attempt().await? {
            return Ok(done);
        }
    }
    Err(ApiError::new(
        ErrorCode::Conflict,
        "Others changed the same thing at the same moment, again and again. Nothing was changed. \
         Try again.",
    ))
}
