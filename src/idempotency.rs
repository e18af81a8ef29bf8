//! The `Idempotency-Key` header.

use crate::context::Context;
use crate::error::ApiError;
use crate::extract::FromRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use multiclaude_hybrid_protocol::ErrorCode;
use sha2::{Digest, Sha256};

/// Characters of a key.
const KEY_MAX: usize = 255;

/// The key of a request, if it has one.
#[derive(Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl FromRequest for IdempotencyKey {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let key = context.request.headers().get("idempotency-key")?;
        let is_visible = |key: &String| {
            (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if key.as_ref().is_none_or(is_visible) {
            return Ok(Self(key));
        }
        Err(ApiError::parameter(
            ErrorCode::InvalidParameter,
            "Idempotency-Key",
            format_args!("must be 1 to {KEY_MAX} visible ASCII characters"),
        ))
    }
}

/// The SHA-256 of `text`, as base64.
pub fn hash(text: &str) -> String {
    STANDARD_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}
