//! Structured logs: one JSON line per request, one per push attempt.
//!
//! Never a token, a secret or a message's body. Queries are left out too: a
//! careless client may have put a token there.

use serde_json::json;

fn line(value: &serde_json::Value) {
    worker::console_log!("{value}");
}

/// One answered request.
pub struct Answered<'a> {
    /// The method.
    pub method: &'a str,
    /// The route's pattern, not the path.
    pub route: &'a str,
    /// The status answered.
    pub status: u16,
    /// How long it took.
    pub ms: i64,
    /// The token's id.
    pub caller: Option<&'a str>,
    /// Also in `X-Request-Id`.
    pub request_id: &'a str,
    /// D1 statements.
    pub d1: u32,
    /// Requests to mailboxes.
    pub mailbox: u32,
    /// Rows that mailboxes wrote.
    pub rows: u32,
    /// The error code, and the cause of a fault of ours.
    pub error: Option<(&'a str, Option<&'a str>)>,
}

/// Logs an answered request.
pub fn answered(entry: &Answered<'_>) {
    let mut value = json!({
        "event": "request", "method": entry.method, "route": entry.route, "status": entry.status,
        "ms": entry.ms, "caller": entry.caller, "request_id": entry.request_id,
        "d1": entry.d1, "mailbox": entry.mailbox, "rows": entry.rows,
    });
    if let (Some(map), Some((code, cause))) = (value.as_object_mut(), entry.error) {
        map.insert("error".to_owned(), code.into());
        if let Some(cause) = cause {
            map.insert("cause".to_owned(), cause.into());
        }
    }
    line(&value);
}

/// Logs one push attempt.
pub fn pushed(mailbox: &str, message: &str, attempt: u32, outcome: &str, ms: i64, rows: u32) {
    line(&json!({
        "event": "push", "mailbox": mailbox, "message": message, "attempt": attempt,
        "outcome": outcome, "ms": ms, "rows": rows,
    }));
}

/// Logs what a mailbox did by itself.
pub fn worked(mailbox: &str, what: &str, rows: u32) {
    line(&json!({ "event": "mailbox", "mailbox": mailbox, "what": what, "rows": rows }));
}

/// Logs a fault outside a request.
pub fn fault(what: &str, cause: &str) {
    line(&json!({ "event": "fault", "what": what, "cause": cause }));
}
