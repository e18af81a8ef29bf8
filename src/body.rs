//! Reads a request's body, bounded before it is parsed.

use crate::error::ApiError;
use futures_util::StreamExt;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::body::{Body, BodyError};
use worker::Request;

/// Bytes that a request may have. The largest is a runner's update: a log of 64
/// KiB and two texts of 16, with every character escaped as six.
pub const REQUEST_MAX: usize = 640 * 1024;

fn too_large() -> ApiError {
    ApiError::new(
        ErrorCode::BodyTooLarge,
        format!("The request is larger than {REQUEST_MAX} bytes. A message's body may have 65536."),
    )
}

async fn read(request: &mut Request) -> Result<Vec<u8>, ApiError> {
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

/// A body that must be there.
pub async fn of<T: Body>(request: &mut Request) -> Result<T, ApiError> {
    Ok(T::read(&read(request).await?)?)
}

/// A body that may be left out.
pub async fn optional<T: Body>(request: &mut Request) -> Result<T, ApiError> {
    let bytes = read(request).await?;
    Ok(T::read(if bytes.is_empty() { b"{}" } else { &bytes })?)
}

/// A body that is a list of at most `max`.
pub async fn list<T: Body>(request: &mut Request, max: usize) -> Result<Vec<T>, ApiError> {
    Ok(T::read_list(&read(request).await?, max)?)
}
