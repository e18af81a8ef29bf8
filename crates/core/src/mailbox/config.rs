//! A mailbox's configuration: its owner and its endpoint.

use crate::Ms;
use crate::outcome::ErrorClass;
use crate::registry::Version;
use crate::secrets::HeldSecret;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::{AgentId, Owner};
use serde::{Deserialize, Serialize};

/// The purpose of a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An agent's messages.
    #[default]
    Agent,
    /// A repo's requests for workers, which are pushed to its `spawn_endpoint`.
    Spawns,
}

/// The configuration in force. One row. Older rows lack some fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The purpose of the mailbox.
    #[serde(default)]
    pub kind: Kind,
    /// The incarnation.
    pub agent_id: AgentId,
    /// Whose agent it is: who may read and acknowledge.
    pub owner: Owner,
    /// Orders configurations.
    pub version: Version,
    /// False once the agent was deregistered.
    pub open: bool,
    /// The endpoint; none for polling.
    pub endpoint: Option<Endpoint>,
    /// The delivery that the registry shows.
    pub reported: (Delivery, Option<String>),
}

/// The endpoint that messages are pushed to, and its state. Older rows lack some fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The checked URL.
    pub url: String,
    /// The newest secret first; each sealed.
    pub secrets: Vec<HeldSecret>,
    /// It answered 410: nothing is pushed until it is set again, or a test of it
    /// succeeds.
    #[serde(default)]
    pub gone: bool,
    /// Failures in a row.
    #[serde(default)]
    pub step: u32,
    /// Nothing is pushed before this.
    pub next_at: Option<Ms>,
    /// The class of the last failure, while it fails.
    pub last_error: Option<ErrorClass>,
}

/// A request to put the registry's configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigureRequest {
    /// The purpose of the mailbox. Older coordinators omit it: it stays as it is.
    pub kind: Option<Kind>,
    /// The incarnation.
    pub agent_id: AgentId,
    /// Whose agent it is.
    pub owner: Owner,
    /// Orders configurations.
    pub version: Version,
    /// The checked endpoint; none for polling.
    pub endpoint: Option<String>,
    /// The client has set the endpoint; otherwise it only repeats the registry's. Older
    /// coordinators omit this, and always set the endpoint.
    #[serde(default = "yes")]
    pub sets_endpoint: bool,
}

fn yes() -> bool {
    true
}

impl Endpoint {
    /// Forgets failures: the next message goes at once.
    pub(super) fn reset(&mut self) {
        self.gone = false;
        self.step = 0;
        self.next_at = None;
        self.last_error = None;
    }
}

impl Config {
    /// The endpoint; empty for polling.
    pub(super) fn url(&self) -> &str {
        self.endpoint.as_ref().map_or("", |endpoint| &endpoint.url)
    }

    /// How messages reach the agent, and the reason if it is not by its endpoint.
    pub fn delivery(&self) -> (Delivery, Option<String>) {
        match &self.endpoint {
            None => (Delivery::Polling, None),
            Some(endpoint) if endpoint.gone => (
                Delivery::Polling,
                Some("endpoint_gone: it answered 410; set or test the endpoint".to_owned()),
            ),
            Some(endpoint) => match endpoint.last_error {
                Some(class) => {
                    (Delivery::Polling, Some(format!("endpoint_failing: {class}; retries go on")))
                }
                None => (Delivery::Webhook, None),
            },
        }
    }
}
