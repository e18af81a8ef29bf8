//! Structured logs: one JSON line per request, per push attempt, per fault, and for other
//! work that a mailbox does on its own.
//!
//! No line has a token, a secret or a message's body. Queries are left out, too: a
//! careless client may have put a token there.

use serde_json::json;

fn write(text: &str) {
    worker::web_sys::console::log_1(&text.into());
}

fn line(value: &serde_json::Value) {
    write(&value.to_string());
}

pub struct Answered<'a> {
    pub method: &'a str,
    /// The route's pattern, not the path.
    pub route: &'a str,
    pub status: u16,
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
    /// The error code, and the cause of an internal error.
    pub error: Option<(&'a str, Option<&'a str>)>,
}

/// A JSON string. Logged values are our own or were checked, so escaping is rarely needed,
/// but never left out.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Logs an answered request. The JSON is written by hand because this runs on every request.
pub fn answered(entry: &Answered<'_>) {
    let caller = entry.caller.map_or_else(|| "null".to_owned(), quoted);
    let mut text = format!(
        "{{\"event\":\"request\",\"method\":{},\"route\":\"{}\",\"status\":{},\"ms\":{},\"caller\":{caller},\
         \"request_id\":\"{}\",\"d1\":{},\"mailbox\":{},\"rows\":{}",
        quoted(entry.method),
        entry.route,
        entry.status,
        entry.ms,
        entry.request_id,
        entry.d1,
        entry.mailbox,
        entry.rows,
    );
    if let Some((code, cause)) = entry.error {
        text.push_str(",\"error\":");
        text.push_str(&quoted(code));
        if let Some(cause) = cause {
            text.push_str(",\"cause\":");
            text.push_str(&quoted(cause));
        }
    }
    text.push('}');
    write(&text);
}

/// Logs one push attempt.
pub fn pushed(mailbox: &str, message: &str, attempt: u32, outcome: &str, ms: i64, rows: u32) {
    write(&format!(
        "{{\"event\":\"push\",\"mailbox\":{},\"message\":{},\"attempt\":{attempt},\
         \"outcome\":{},\"ms\":{ms},\"rows\":{rows}}}",
        quoted(mailbox),
        quoted(message),
        quoted(outcome),
    ));
}

/// Logs work that a mailbox does on its own.
pub fn worked(mailbox: &str, what: &str, rows: u32) {
    line(&json!({ "event": "mailbox", "mailbox": mailbox, "what": what, "rows": rows }));
}

/// Logs a fault outside a request.
pub fn fault(what: &str, cause: &str) {
    line(&json!({ "event": "fault", "what": what, "cause": cause }));
}
