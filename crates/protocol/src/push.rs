//! The bodies of pushes, which the coordinator sends as Standard Webhooks: see
//! [`crate::webhook`].

use crate::wire_enum::wire_enum;
use crate::{AgentName, Repo, Timestamp};
use serde::{Deserialize, Serialize};

wire_enum!(
    /// The kind of a push.
    PushKind {
        /// A message for the agent whose endpoint this is.
        MessageCreated = "message.created",
        /// A request for a worker, pushed to the repo's `spawn_endpoint`.
        SpawnRequested = "worker.spawn_requested",
        /// A test of an agent's endpoint.
        EndpointTest = "endpoint.test",
    }
);

/// The body of a push.
///
/// Later versions may push other kinds, so a reader takes `type` as a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// A [`PushKind`].
    pub r#type: String,
    /// When this attempt was made.
    pub timestamp: Timestamp,
    /// A message, a request for a worker, or the agent that is tested.
    pub data: T,
}

/// The `data` of an `endpoint.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TestedAgent {
    /// The agent's repo.
    pub repo: Repo,
    /// The agent whose endpoint this is.
    pub agent: AgentName,
}

/// The body of a push whose data is JSON text already: an [`Envelope`], as one allocation.
pub fn envelope(kind: PushKind, timestamp: Timestamp, data: &str) -> String {
    let kind = kind.as_str();
    format!("{{\"type\":\"{kind}\",\"timestamp\":\"{timestamp}\",\"data\":{data}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_of_text_is_read_as_one() {
        let data = TestedAgent {
            repo: Repo::parse("acme/app").unwrap(),
            agent: AgentName::parse("queue").unwrap(),
        };
        let text = serde_json::to_string(&data).unwrap();
        for kind in [PushKind::MessageCreated, PushKind::SpawnRequested, PushKind::EndpointTest] {
            let read: Envelope<TestedAgent> =
                serde_json::from_str(&envelope(kind, Timestamp(7), &text)).unwrap();
            let r#type = kind.as_str().to_owned();
            assert_eq!(read, Envelope { r#type, timestamp: Timestamp(7), data: data.clone() });
        }
    }
}
