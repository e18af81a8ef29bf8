//! Retries a change that is written only if its row is still the one it was decided on.

use crate::error::ApiError;
use multiclaude_hybrid_protocol::ErrorCode;

/// Tries of one change. One of N concurrent writers succeeds per round, so this is also
/// the largest N.
const TRIES: u32 = 32;

/// Runs `attempt`, which reads, decides and writes, until it succeeds. It returns `None`
/// if another change was faster.
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
        "Too many concurrent requests changed the same thing. Nothing was changed. Try again.",
    ))
}
