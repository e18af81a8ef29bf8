//! Reports by the recipient's side about a message.
//!
//! *Seen* means that the agent itself has received the message. Report it on proof only; it
//! implies *delivered*. A report is the body of `PATCH …/messages/{id}`, and the answer of
//! an endpoint or a stream.
//!
//! ```
//! use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
//!
//! let report = Report::from(MessageStatus::Acked).and_seen();
//! assert_eq!(serde_json::to_string(&report).unwrap(), r#"{"status":"acked","seen":true}"#);
//! ```

use super::MessageStatus;
use crate::MessageId;
use crate::body::presence::{Presence, required};
use crate::body::rules::parsed;
use crate::body::{Body, Fields, body};
use serde::{Deserialize, Serialize};

body! {
    /// How far a message has come on the recipient's side: a status, `seen`, or both.
    #[derive(Copy, Eq, Default, Deserialize)]
    #[serde(default)]
    pub struct Report {
        /// A status only moves forward; `pending` changes nothing.
        pub status: Option<MessageStatus> = optional(parsed()),
        /// The agent itself has received the message, as was proven. The message counts as
        /// delivered.
        pub seen: bool = true_only("must be true; leave it out until the agent has the message"),
    }
    check = says_something;
    also = one_at_least;
}

fn says_something(report: Report, fields: &mut Fields) -> Option<Report> {
    match report.status {
        Some(MessageStatus::Failed) => fields.fault("status", "must be delivered or acked"),
        None if !report.seen => {
            fields.fault("status", "is missing: send a status, \"seen\": true, or both");
        }
        _ => return Some(report),
    }
    None
}

/// The same as a schema; null stands for absent.
fn one_at_least() -> serde_json::Value {
    let status = ["pending", "delivered", "acked"];
    let or_null = status.iter().copied().map(Some).chain([None]).collect::<Vec<_>>();
    serde_json::json!({ "anyOf": [
        { "required": ["status"], "properties": { "status": { "enum": status }, "seen": { "enum": [true, null] } } },
        { "required": ["seen"], "properties": { "status": { "enum": or_null }, "seen": { "const": true } } },
    ] })
}

impl Report {
    /// The recipient's side has it.
    pub const DELIVERED: Self = Self { status: Some(MessageStatus::Delivered), seen: false };
    /// The recipient has acknowledged it.
    pub const ACKED: Self = Self { status: Some(MessageStatus::Acked), seen: false };
    /// The agent itself has received it; no status is reported.
    pub const SEEN: Self = Self { status: None, seen: true };

    /// The same, and the agent itself has received it.
    #[must_use]
    pub const fn and_seen(self) -> Self {
        Self { seen: true, ..self }
    }
}

/// A report over a stream: `{"id": "msg_…"}` with the fields of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The message.
    pub id: MessageId,
    /// How far it has come.
    #[serde(flatten)]
    pub report: Report,
}

impl Body for StreamReport {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let id = required(parsed()).take(fields, "id");
        let report = Report::from_fields(fields);
        Some(Self { id: id?, report: report? })
    }
}

impl From<MessageStatus> for Report {
    fn from(status: MessageStatus) -> Self {
        Self { status: Some(status), seen: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read;
    use serde_json::json;

    #[test]
    fn a_report_says_a_status_or_seen_or_both() {
        assert_eq!(read(&json!({"status": "delivered"})), Ok(Report::DELIVERED));
        assert_eq!(read(&json!({"status": "acked", "seen": null})), Ok(Report::ACKED));
        assert_eq!(read(&json!({"seen": true, "status": null})), Ok(Report::SEEN));
        assert_eq!(read(&json!({"seen": true, "status": "acked"})), Ok(Report::ACKED.and_seen()));
    }

    #[test]
    fn a_report_of_nothing_or_of_not_seen_is_refused_at_the_field_at_fault() {
        for (body, wanted) in [
            (json!({}), vec!["status"]),
            (json!({"status": null, "seen": null}), vec!["status"]),
            (json!({"status": "failed"}), vec!["status"]),
            (json!({"seen": false}), vec!["seen"]),
            (json!({"seen": false, "status": "acked"}), vec!["seen"]),
            (json!({"seen": "true"}), vec!["seen"]),
            (json!({"seen": 1, "status": "read"}), vec!["status", "seen"]),
        ] {
            assert_eq!(read::<Report>(&body).unwrap_err(), wanted, "{body}");
        }
    }

    #[test]
    fn every_report_is_read_as_it_was_written() {
        for report in [Report::DELIVERED, Report::ACKED] {
            for report in [report, report.and_seen(), Report::SEEN] {
                let written = serde_json::to_value(report).unwrap();
                assert_eq!(read(&written), Ok(report));
                assert_eq!(serde_json::from_value(written).ok(), Some(report));
            }
        }
    }
}
