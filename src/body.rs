//! Reads a request's body, bounded before it is parsed.

use crate::error::ApiError;
use futures_util::StreamExt;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::body::BodyError;
use multiclaude_hybrid_protocol::message::BODY_MAX;
use worker::Request;

/// Bytes that a request may have. The largest is a runner's update: a log of 64
/// KiB and two texts of 16, with every character escaped as six.
pub const REQUEST_MAX: usize = 640 * 1024;

fn too_large() -> ApiError {
    ApiError::new(
        ErrorCode::BodyTooLarge,
        format!(
            "The request is larger than {REQUEST_MAX} bytes. A message's body may have {BODY_MAX}."
        ),
    )
}

/// The bytes of a body.
pub async fn read(request: &mut Request) -> Result<Vec<u8>, ApiError> {
    let broken = |error| {
        ApiError::new(
            ErrorCode::InvalidJson,
            format!("The request's body could not be read: {error}."),
        )
    };
    let length = request.headers().get("content-length")?;
    if let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) {
        if length > REQUEST_MAX {
            return Err(too_large());
        }
        return request.bytes().await.map_err(broken);
    }
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream = request.stream()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend(chunk.map_err(broken)?);
        if bytes.len() > REQUEST_MAX {
            return Err(too_large());
        }
    }
    Ok(bytes)
}

/// A body as text, to check its signature.
pub async fn text(request: &mut Request) -> Result<String, ApiError> {
    let text = String::from_utf8(read(request).await?);
    Ok(text.map_err(|error| BodyError::Utf8(error.utf8_error().valid_up_to()))?)
}
