//! Failures: one response per status, with the codes it can have.

use multiclaude_hybrid_protocol::ErrorCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The codes that every request can get.
pub(crate) const ANYWHERE: [ErrorCode; 5] = [
    ErrorCode::HttpsRequired,
    ErrorCode::InvalidPath,
    ErrorCode::Internal,
    ErrorCode::Misconfigured,
    ErrorCode::Unavailable,
];

/// The codes as a table, for the introduction.
pub(crate) fn table() -> String {
    let mut table = String::from("| status | code | meaning |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {} | `{}` | {} |", code.status(), code.as_str(), code.title());
    }
    table
}

/// `#/components/headers`.
pub(crate) fn headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "RequestId": {
            "description": "The id of this request in the coordinator's log.", "required": true,
            "schema": { "type": "string" },
        },
        "Link": text("`<URL>; rel=\"next\"`: the next page. Absent on the last one."),
        "ETag": {
            "description": "The version, for `If-Match`.", "required": true,
            "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
        },
        "RetryAfter": { "description": "Seconds to wait.", "schema": { "type": "integer", "minimum": 0 } },
        "Allow": text("The methods that are served at this path."),
        "WwwAuthenticate": text("The scheme: `Bearer`."),
    })
}

/// A reference to one of them.
pub(crate) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// The answers to requests that reach no operation.
pub(crate) fn anywhere(problem: &Value) -> Value {
    let answer =
        |code: ErrorCode| response(code.status(), &BTreeSet::from([code.as_str()]), problem);
    json!({
        "NotFound": answer(ErrorCode::NotFound),
        "MethodNotAllowed": answer(ErrorCode::MethodNotAllowed),
    })
}

/// One response per status of `codes`.
pub(crate) fn responses(codes: &[ErrorCode], problem: &Value) -> BTreeMap<u16, Value> {
    let mut by_status: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().insert(code.as_str());
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status, response(status, &codes, problem)))
        .collect()
}

fn response(status: u16, codes: &BTreeSet<&str>, problem: &Value) -> Value {
    let listed: Vec<_> = ErrorCode::ALL
        .iter()
        .filter(|code| codes.contains(code.as_str()))
        .map(|code| format!("- `{}`: {}", code.as_str(), code.title()))
        .collect();
    let mut headers = Map::from_iter([("X-Request-Id".to_owned(), header("RequestId"))]);
    match status {
        401 => headers.insert("WWW-Authenticate".to_owned(), header("WwwAuthenticate")),
        405 => headers.insert("Allow".to_owned(), header("Allow")),
        429 | 503 => headers.insert("Retry-After".to_owned(), header("RetryAfter")),
        _ => None,
    };
    let schema = json!({
        "allOf": [problem],
        "properties": { "status": { "const": status }, "code": { "enum": codes } },
    });
    json!({
        "description": listed.join("\n"),
        "headers": headers,
        "content": { "application/problem+json": { "schema": schema } },
    })
}
