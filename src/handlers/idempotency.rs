//! The `Idempotency-Key` header.

use crate::context::Context;
use crate::error::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use multiclaude_hybrid_protocol::ErrorCode;
use sha2::{Digest, Sha256};

/// Characters of a key.
const KEY_MAX: usize = 255;

/// The key of a request, if it has one.
pub fn key(context: &Context) -> Result<Option<String>, ApiError> {
    let Some(key) = context.request.headers().get("idempotency-key")? else {
        return Ok(None);
    };
    if (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return Ok(Some(key));
    }
    Err(ApiError::parameter(
        ErrorCode::InvalidParameter,
        "Idempotency-Key",
        format_args!("must be 1 to {KEY_MAX} visible ASCII characters"),
    ))
}

/// What is stored of a key's scope, and of what it was used for.
pub fn hash(text: &str) -> String {
    STANDARD_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}
