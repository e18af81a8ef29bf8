//! What the recipient's side says of a message.

use super::MessageStatus;
use crate::error::FieldError;
use crate::fields::Fields;
use serde::{Deserialize, Serialize};

/// `PATCH …/messages/{id}`, and the answers of endpoints and streams: a status,
/// `"seen": true`, or both.
///
/// *Seen* means that the agent itself has taken the message. Say it on proof
/// only; it implies *delivered*.
///
/// ```
/// use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
///
/// let report = Report::from(MessageStatus::Acked).and_seen();
/// assert_eq!(serde_json::to_string(&report).unwrap(), r#"{"status":"acked","seen":true}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<MessageStatus>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    seen: bool,
}

impl Report {
    /// The recipient's side has it.
    pub const DELIVERED: Self = Self { status: Some(MessageStatus::Delivered), seen: false };
    /// The recipient has confirmed it.
    pub const ACKED: Self = Self { status: Some(MessageStatus::Acked), seen: false };
    /// The agent itself has taken it, and no status is reported.
    pub const SEEN: Self = Self { status: None, seen: true };

    /// The same, and the agent itself has taken it.
    #[must_use]
    pub const fn and_seen(self) -> Self {
        Self { seen: true, ..self }
    }

    /// The status that is reported. Without one, `seen` is.
    pub fn status(self) -> Option<MessageStatus> {
        self.status
    }

    /// Has the agent itself taken it?
    pub fn seen(self) -> bool {
        self.seen
    }

    /// Reads the body of `PATCH …/messages/{id}`.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        use MessageStatus::{Acked, Delivered, Pending};
        let status = fields.parsed("status", |text| match MessageStatus::parse(text) {
            Ok(status @ (Pending | Delivered | Acked)) => Ok(status),
            _ => Err("must be delivered or acked"),
        });
        let seen = fields.boolean("seen");
        if seen == Some(false) {
            fields.fault("seen", "must be true; leave it out until the agent has the message");
        } else if status.is_none() && seen.is_none() && !fields.has_faults() {
            fields.fault("status", "is missing: send a status, \"seen\": true, or both");
        }
        fields.finish(Some(Self { status, seen: seen.is_some() }))
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
    use serde_json::{Value, json};

    fn read(body: &Value) -> Result<Report, Vec<String>> {
        let read = Report::from_fields(Fields::parse(body.to_string().as_bytes()).unwrap());
        read.map_err(|faults| faults.into_iter().map(|fault| fault.field).collect())
    }

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
            assert_eq!(read(&body), Err(wanted.into_iter().map(str::to_owned).collect()), "{body}");
        }
    }

    #[test]
    fn every_report_is_read_as_it_was_written() {
        for report in [Report::DELIVERED, Report::ACKED] {
            for report in [report, report.and_seen(), Report::SEEN] {
                assert_eq!(read(&serde_json::to_value(report).unwrap()), Ok(report));
                assert_eq!(
                    serde_json::from_str(&serde_json::to_string(&report).unwrap()).ok(),
                    Some(report)
                );
            }
        }
    }
}
