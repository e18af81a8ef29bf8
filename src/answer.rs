//! The answers of handlers.

use crate::error::ApiError;
use serde::Serialize;
use worker::{Headers, Response};

/// The answer of a handler.
pub type Handled = Result<Response, ApiError>;

pub fn json(status: u16, value: &impl Serialize) -> Handled {
    text(status, serde_json::to_string(value)?)
}

/// A JSON answer that is text already.
pub fn text(status: u16, body: String) -> Handled {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    Ok(Response::from_bytes(body.into_bytes())?.with_headers(headers).with_status(status))
}

/// 204.
pub fn nothing() -> Handled {
    Ok(Response::empty()?.with_status(204))
}
