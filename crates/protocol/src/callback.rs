//! `POST …/workers/{id}/callback`: what the endpoint that spawn requests are
//! pushed to reports, as a Standard Webhook.

use crate::agent::wire_enum;
use crate::error::FieldError;
use crate::fields::Fields;
use crate::spawn::{LEASE_SECS, RESULT_MAX, SpawnStatus};
use crate::{AgentName, SpawnId, Timestamp};
use serde::Serialize;

/// How long a callback takes a request for, in seconds, unless it says so.
pub const CALLBACK_LEASE_SECS: i64 = 3600;
/// The reason of a failure that gives none.
const NO_REASON: &str = "no reason was given";

wire_enum!(
    /// What has happened.
    Event {
        /// The endpoint has started a worker, or still has it.
        Started = "worker.started",
        /// The worker is still at work.
        Progress = "worker.progress",
        /// The worker has ended well.
        Completed = "worker.completed",
        /// The worker has ended otherwise.
        Failed = "worker.failed",
    }
);

impl Event {
    /// Where it moves the request.
    pub fn status(self) -> SpawnStatus {
        match self {
            Self::Started | Self::Progress => SpawnStatus::InProgress,
            Self::Completed => SpawnStatus::Completed,
            Self::Failed => SpawnStatus::Failed,
        }
    }
}

/// What is reported about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The request.
    pub id: SpawnId,
    /// What has happened.
    pub event: Event,
    /// The registered agent; must be given with `worker.started`. What names
    /// another one than was started is refused.
    pub worker_name: Option<AgentName>,
    /// How long the request is taken for, from now.
    pub lease_secs: i64,
    /// What the worker has to say; with `worker.completed`.
    pub summary: Option<String>,
    /// Why it failed; with `worker.failed`.
    pub failure_reason: Option<String>,
}

impl Callback {
    /// Reads the body: `{"type", "timestamp", "data": {"id", …}}`. What belongs
    /// to another event is ignored, like any unknown field.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let event = fields.required("type", Event::parse);
        fields.parsed("timestamp", |text| Timestamp::parse(text).ok_or("must be an RFC 3339 time"));
        let Some(mut data) = fields.object("data") else {
            return fields.finish(None);
        };
        let id = data.required("id", |text| {
            SpawnId::parse(text).ok_or("must be the id of a request, spn_<32 hex digits>")
        });
        let name = |text: &str| match text {
            "" => Ok(None),
            text => {
                AgentName::parse(text).map(Some).map_err(|error| format!("the agent name {error}"))
            }
        };
        let worker_name = data.parsed("worker_name", name).flatten();
        if event == Some(Event::Started) && worker_name.is_none() && !data.has_faults() {
            data.fault("worker_name", "is missing");
        }
        let (mut lease_secs, mut result) = (None, None);
        match event {
            Some(Event::Completed) => result = data.parsed("summary", limited).flatten(),
            Some(Event::Failed) => result = data.parsed("failure_reason", limited).flatten(),
            Some(Event::Started | Event::Progress) | None => {
                lease_secs = data.integer("lease_seconds", LEASE_SECS);
            }
        }
        fields.faults_of("data", data);
        let callback = id.zip(event).map(|(id, event)| {
            let (summary, failure_reason) = match event {
                Event::Failed => (None, result.or(Some(NO_REASON.to_owned()))),
                _ => (result, None),
            };
            Self {
                id,
                event,
                worker_name,
                lease_secs: lease_secs.unwrap_or(CALLBACK_LEASE_SECS),
                summary,
                failure_reason,
            }
        });
        fields.finish(callback)
    }
}

impl Serialize for Callback {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut data = serde_json::json!({
            "id": self.id, "worker_name": self.worker_name, "lease_seconds": self.lease_secs,
            "summary": self.summary, "failure_reason": self.failure_reason,
        });
        if let Some(data) = data.as_object_mut() {
            data.retain(|_, value| !value.is_null());
        }
        serde_json::json!({ "type": self.event, "data": data }).serialize(serializer)
    }
}

/// A summary or reason; an empty one is none.
fn limited(text: &str) -> Result<Option<String>, String> {
    if text.len() > RESULT_MAX {
        return Err(format!("is longer than {RESULT_MAX} bytes"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: &Value) -> Result<Callback, Vec<String>> {
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        Callback::from_fields(fields)
            .map_err(|faults| faults.into_iter().map(|fault| fault.field).collect())
    }

    const ID: &str = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";

    #[test]
    fn a_start_names_its_worker_and_takes_the_request_for_an_hour() {
        let started =
            read(&json!({"type": "worker.started", "data": {"id": ID, "worker_name": "w1"}}));
        let started = started.unwrap();
        assert_eq!(started.worker_name.unwrap().as_str(), "w1");
        assert_eq!(started.lease_secs, 3600);
    }

    #[test]
    fn every_fault_is_named_where_it_is() {
        let wrong = json!({"type": "worker.spawn_requested", "timestamp": "now", "data": {"id": "x", "lease_seconds": 1}});
        assert_eq!(
            read(&wrong).unwrap_err(),
            ["type", "timestamp", "data.id", "data.lease_seconds"]
        );
        assert_eq!(read(&json!({"type": "worker.failed"})).unwrap_err(), ["data"]);
        assert_eq!(
            read(&json!({"type": "worker.started", "data": {"id": ID}})).unwrap_err(),
            ["data.worker_name"]
        );
    }

    #[test]
    fn a_failure_without_a_reason_says_so() {
        let failed =
            read(&json!({"type": "worker.failed", "data": {"id": ID, "summary": "x"}})).unwrap();
        assert_eq!(failed.failure_reason.as_deref(), Some("no reason was given"));
        assert_eq!(failed.summary, None);
    }
}
