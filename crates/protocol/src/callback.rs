//! `POST …/workers/{id}/callback`: what the endpoint that spawn requests are
//! pushed to reports, as a Standard Webhook.

use crate::agent::{unless_empty, wire_enum};
use crate::error::FieldError;
use crate::fields::Fields;
use crate::spawn::{LEASE_SECS, RESULT_MAX, SpawnStatus};
use crate::{AgentName, SpawnId};

/// How long a callback takes a request for, in seconds, unless it says so.
pub const CALLBACK_LEASE_SECS: i64 = 3600;

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
    /// The registered agent; with `worker.started`.
    pub worker_name: Option<AgentName>,
    /// How long the request is taken for, from now.
    pub lease_secs: i64,
    /// What the worker has to say; with `worker.completed`.
    pub summary: Option<String>,
    /// Why it failed; with `worker.failed`.
    pub failure_reason: Option<String>,
}

impl Callback {
    /// Reads the body: `{"type", "data": {"id", …}}`.
    pub fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let event = fields.required("type", Event::parse);
        let Some(mut data) = fields.object("data") else {
            return fields.finish(None);
        };
        let id = data.required("id", |text| {
            SpawnId::parse(text).ok_or("must be the id of a request, spn_<32 hex digits>")
        });
        let name =
            |text: &str| AgentName::parse(text).map_err(|error| format!("the agent name {error}"));
        let worker_name = match event {
            Some(Event::Started) => data.required("worker_name", name),
            _ => None,
        };
        let lease_secs = data.integer("lease_seconds", LEASE_SECS);
        let limited = |text: &str| {
            let fits = text.len() <= RESULT_MAX;
            fits.then(|| text.to_owned())
                .ok_or(format!("is longer than {RESULT_MAX} bytes"))
        };
        let summary = data.parsed("summary", unless_empty(limited)).flatten();
        let reason = data
            .parsed("failure_reason", unless_empty(limited))
            .flatten();
        let failure_reason = match event {
            Some(Event::Failed) => Some(reason.unwrap_or_else(|| "no reason was given".to_owned())),
            _ => None,
        };
        fields.faults_of("data", data);
        let callback = id.zip(event).map(|(id, event)| Self {
            id,
            event,
            worker_name,
            lease_secs: lease_secs.unwrap_or(CALLBACK_LEASE_SECS),
            summary: summary.filter(|_| event == Event::Completed),
            failure_reason,
        });
        fields.finish(callback)
    }
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
        let wrong =
            json!({"type": "worker.spawn_requested", "data": {"id": "x", "lease_seconds": 1}});
        assert_eq!(
            read(&wrong).unwrap_err(),
            ["type", "data.id", "data.lease_seconds"]
        );
        assert_eq!(
            read(&json!({"type": "worker.failed"})).unwrap_err(),
            ["data"]
        );
        assert_eq!(
            read(&json!({"type": "worker.started", "data": {"id": ID}})).unwrap_err(),
            ["data.worker_name"]
        );
    }

    #[test]
    fn a_failure_without_a_reason_says_so() {
        let failed =
            read(&json!({"type": "worker.failed", "data": {"id": ID, "summary": "x"}})).unwrap();
        assert_eq!(
            failed.failure_reason.as_deref(),
            Some("no reason was given")
        );
        assert_eq!(failed.summary, None);
    }
}
