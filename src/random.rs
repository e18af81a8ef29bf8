//! The only place that asks for randomness.

use crate::error::ApiError;
use multiclaude_hybrid_protocol::ErrorCode;

pub fn bytes<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::internal(format_args!("no randomness: {error}")))?;
    Ok(bytes)
}

/// A random number in `0.0..1.0`, for jitter.
pub fn unit() -> f64 {
    worker::js_sys::Math::random()
}

pub fn request_id() -> String {
    bytes::<12>().map_or_else(
        |_| ErrorCode::Internal.as_str().to_owned(),
        |bytes| bytes.iter().fold("req_".to_owned(), |id, byte| format!("{id}{byte:02x}")),
    )
}
