//! Structured logs: one JSON line per request, per push attempt, per fault, and for other
//! work that a mailbox does on its own.
//!
//! No line has a token, a secret or a message's body. Queries are left out, too: a
//! careless client may have put a token there.

use crate::facts::Facts;
use serde::Serialize;
use serde_json::json;

fn write(value: &impl Serialize) {
    let text = serde_json::to_string(value).unwrap_or_default();
    worker::web_sys::console::log_1(&text.into());
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "request")]
pub struct Answered<'a> {
    pub method: &'a str,
    #[serde(flatten)]
    pub facts: &'a Facts,
    pub status: u16,
    pub ms: i64,
    /// Also in `X-Request-Id`.
    pub request_id: &'a str,
    /// The error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// Of an internal error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
}

/// Logs an answered request.
pub fn answered(entry: &Answered<'_>) {
    write(entry);
}

/// Logs one push attempt.
pub fn pushed(mailbox: &str, message: &str, attempt: u32, outcome: &str, ms: i64, rows: u32) {
    #[derive(Serialize)]
    #[serde(tag = "event", rename = "push")]
    struct Pushed<'a> {
        mailbox: &'a str,
        message: &'a str,
        attempt: u32,
        outcome: &'a str,
        ms: i64,
        rows: u32,
    }
    write(&Pushed { mailbox, message, attempt, outcome, ms, rows });
}

/// Logs work that a mailbox does on its own.
pub fn worked(mailbox: &str, what: &str, rows: u32) {
    write(&json!({ "event": "mailbox", "mailbox": mailbox, "what": what, "rows": rows }));
}

/// Logs a fault outside a request.
pub fn fault(what: &str, cause: &str) {
    write(&json!({ "event": "fault", "what": what, "cause": cause }));
}
