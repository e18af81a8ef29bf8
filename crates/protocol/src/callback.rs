//! `POST …/workers/{id}/callback`: reports of the endpoint that spawn requests are pushed
//! to, as Standard Webhooks.

use crate::body::presence::{Presence, optional, required};
use crate::body::rules::parsed;
use crate::body::{Body, Fields, body};
use crate::spawn::{LEASE_SECS, RESULT_MAX, SpawnStatus};
use crate::wire_enum::wire_enum;
use crate::{AgentName, SpawnId, Timestamp};
use serde::Serialize;

/// How long a callback leases a request, in seconds, unless it gives a time.
pub const CALLBACK_LEASE_SECS: i64 = 3600;
/// The reason of a failure that gives none.
const NO_REASON: &str = "no reason was given";

wire_enum!(
    /// The event that is reported.
    Event {
        /// The endpoint has started a worker, or still has it.
        Started = "worker.started",
        /// The worker is still at work.
        Progress = "worker.progress",
        /// The worker has succeeded.
        Completed = "worker.completed",
        /// The worker has failed.
        Failed = "worker.failed",
    }
);

impl Event {
    /// The request's status after it.
    pub fn status(self) -> SpawnStatus {
        match self {
            Self::Started | Self::Progress => SpawnStatus::InProgress,
            Self::Completed => SpawnStatus::Completed,
            Self::Failed => SpawnStatus::Failed,
        }
    }
}

/// A report about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The request.
    pub id: SpawnId,
    /// The event.
    pub event: Event,
    /// The registered agent; required with `worker.started`. A callback for another worker
    /// than the started one is refused.
    pub worker_name: Option<AgentName>,
    /// How long the request is leased, from now.
    pub lease_secs: i64,
    /// The worker's summary; with `worker.completed`.
    pub summary: Option<String>,
    /// Why it failed; with `worker.failed`.
    pub failure_reason: Option<String>,
}

/// The fields of `data` of one event, with those that all events have.
macro_rules! data {
    ($name:ident { $($own:tt)* }) => {
        body! {
            /// About the request of the path.
            struct $name {
                /// The request, as in the path.
                id: SpawnId = required(parsed()),
                $($own)*
            }
        }
    };
}

data!(Started {
    /// The registered agent.
    worker_name: AgentName = required(parsed()),
    /// Seconds from now that the request is leased for.
    lease_secs as "lease_seconds": i64 = with_default(CALLBACK_LEASE_SECS, integer(LEASE_SECS)),
});
data!(Progress {
    /// The worker; refused if another one was started.
    worker_name: Option<AgentName> = optional_or_empty(parsed()),
    /// Seconds from now that the request is leased for.
    lease_secs as "lease_seconds": i64 = with_default(CALLBACK_LEASE_SECS, integer(LEASE_SECS)),
});
data!(Completed {
    /// The worker; refused if another one was started.
    worker_name: Option<AgentName> = optional_or_empty(parsed()),
    /// The worker's summary of what it did.
    summary: Option<String> = optional_or_empty(text().bytes(RESULT_MAX)),
});
data!(Failed {
    /// The worker; refused if another one was started.
    worker_name: Option<AgentName> = optional_or_empty(parsed()),
    /// Why it failed.
    failure_reason: Option<String> = optional_or_empty(text().bytes(RESULT_MAX)),
});

impl Callback {
    fn new(id: SpawnId, event: Event, worker_name: Option<AgentName>) -> Self {
        let lease_secs = CALLBACK_LEASE_SECS;
        Self { id, event, worker_name, lease_secs, summary: None, failure_reason: None }
    }

    /// Reads `data`. A field of another event is ignored, like any unknown field.
    fn from_data(event: Event, data: &mut Fields) -> Option<Self> {
        Some(match event {
            Event::Started => {
                let Started { id, worker_name, lease_secs } = Body::from_fields(data)?;
                Self { lease_secs, ..Self::new(id, event, Some(worker_name)) }
            }
            Event::Progress => {
                let Progress { id, worker_name, lease_secs } = Body::from_fields(data)?;
                Self { lease_secs, ..Self::new(id, event, worker_name) }
            }
            Event::Completed => {
                let Completed { id, worker_name, summary } = Body::from_fields(data)?;
                Self { summary, ..Self::new(id, event, worker_name) }
            }
            Event::Failed => {
                let Failed { id, worker_name, failure_reason } = Body::from_fields(data)?;
                let failure_reason = failure_reason.or(Some(NO_REASON.to_owned()));
                Self { failure_reason, ..Self::new(id, event, worker_name) }
            }
        })
    }
}

impl Body for Callback {
    /// `{"type", "timestamp", "data": {"id", …}}`.
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let event = required(parsed()).take(fields, "type");
        let at = optional(parsed::<Timestamp>()).take(fields, "timestamp");
        // The rest is checked even if the event is unknown.
        let data =
            fields.nested("data", |data| Self::from_data(event.unwrap_or(Event::Progress), data));
        at.and(event).and(data)
    }
}

impl schemars::JsonSchema for Callback {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Callback".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let event = |kind: Event, data: schemars::Schema| {
            serde_json::json!({
                "type": "object",
                "required": ["type", "data"],
                "properties": {
                    "type": { "const": kind },
                    "timestamp": { "type": ["string", "null"], "format": "date-time", "description": "When it happened." },
                    "data": data,
                },
            })
        };
        schemars::json_schema!({
            "description": "A report of an endpoint of spawn requests. `data.id` is the id in the path.",
            "oneOf": [
                event(Event::Started, Started::json_schema(generator)),
                event(Event::Progress, Progress::json_schema(generator)),
                event(Event::Completed, Completed::json_schema(generator)),
                event(Event::Failed, Failed::json_schema(generator)),
            ],
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read;
    use serde_json::json;

    const ID: &str = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";

    #[test]
    fn a_start_names_its_worker_and_takes_the_request_for_an_hour() {
        let body = json!({"type": "worker.started", "data": {"id": ID, "worker_name": "w1"}});
        let started: Callback = read(&body).unwrap();
        assert_eq!(started.worker_name.unwrap().as_str(), "w1");
        assert_eq!(started.lease_secs, 3600);
    }

    #[test]
    fn every_fault_is_named_where_it_is() {
        let wrong = json!({"type": "worker.spawn_requested", "timestamp": "now", "data": {"id": "x", "lease_seconds": 1}});
        let faults = |body| read::<Callback>(&body).unwrap_err();
        assert_eq!(faults(wrong), ["type", "timestamp", "data.id", "data.lease_seconds"]);
        assert_eq!(faults(json!({"type": "worker.failed"})), ["data"]);
        let nameless = json!({"type": "worker.started", "data": {"id": ID}});
        assert_eq!(faults(nameless), ["data.worker_name"]);
    }

    #[test]
    fn a_failure_without_a_reason_says_so() {
        let body = json!({"type": "worker.failed", "data": {"id": ID, "summary": "x"}});
        let failed: Callback = read(&body).unwrap();
        assert_eq!(failed.failure_reason.as_deref(), Some("no reason was given"));
        assert_eq!(failed.summary, None);
    }
}
