//! Wire types of the agent registry.

pub use crate::body::ENDPOINT_MAX;
use crate::body::presence::{Presence, optional};
use crate::body::text::url;
use crate::body::{Fields, body};
use crate::metadata::Metadata;
use crate::webhook::Secret;
use crate::wire_enum::wire_enum;
use crate::{AgentId, AgentName, Owner, Repo, Timestamp};
use serde::{Deserialize, Serialize};

wire_enum!(
    /// The location of an agent, seen from its owner.
    Location {
        /// On a developer's machine.
        Local = "local",
        /// On shared infrastructure.
        Remote = "remote",
    }
);

wire_enum!(
    /// The status of an agent.
    AgentStatus {
        /// At work.
        Active = "active",
        /// Waiting for something to do.
        Idle = "idle",
        /// Not running, or not seen for 180 s and without an open stream. It still gets messages.
        Stopped = "stopped",
    }
);

wire_enum!(
    /// How messages reach an agent at the moment.
    Delivery {
        /// Pushed to its endpoint.
        Webhook = "webhook",
        /// Sent over its open stream.
        Stream = "stream",
        /// It has to poll.
        Polling = "polling",
    }
);

/// One agent, as the registry knows it.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Agent {
    /// This incarnation; a later agent of the same name has another id.
    pub id: AgentId,
    /// Unique in its repo.
    pub name: AgentName,
    /// `worker`, `merge-queue`, `supervisor`, …
    pub r#type: String,
    /// Its location.
    pub location: Location,
    /// The principal that registered it.
    pub owner: Owner,
    /// `owner/repo`, in lower case.
    pub repo: Repo,
    /// `stopped` also if it was not seen for 180 s and has no open stream.
    pub status: AgentStatus,
    /// The URL that messages are pushed to; empty for polling.
    #[serde(default)]
    pub endpoint: String,
    /// How messages reach it now.
    pub delivery: Delivery,
    /// Why it is polling although it has an endpoint.
    pub delivery_reason: Option<String>,
    /// The machine it was registered from, if that was given.
    pub instance: Option<String>,
    /// When it was last seen, to the minute.
    pub last_seen: Timestamp,
    /// When this incarnation was registered.
    pub created_at: Timestamp,
    /// Flexible key-value pairs.
    #[serde(default)]
    pub metadata: Metadata,
    /// Pending messages in its mailbox (`GET …/agents/{name}` only).
    pub waiting: Option<u64>,
    /// The endpoint's secret, once, in the answer that generated it.
    pub webhook_secret: Option<String>,
}

/// The result of an `endpoint.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EndpointTest {
    /// Did the endpoint accept the test?
    pub ok: bool,
    /// The status of the endpoint's answer, if there was one.
    #[serde(default)]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Why the test failed: `http_500`, `timeout`, `connection_failed` or
    /// `secret_unreadable`.
    #[serde(default)]
    pub error: Option<String>,
}

/// A change of an agent's endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EndpointChange {
    /// Leave it.
    #[default]
    Keep,
    /// Turn push off.
    Clear,
    /// Push to this URL (not yet checked against the endpoint rules).
    Set(String),
}

/// A field that keeps the endpoint if it is absent, and clears it if it is empty.
pub(crate) struct EndpointField;

impl Presence for EndpointField {
    type Value = EndpointChange;

    fn take(&self, fields: &mut Fields, name: &str) -> Option<EndpointChange> {
        let url = optional(url()).take(fields, name)?;
        Some(match url {
            None => EndpointChange::Keep,
            Some(url) if url.is_empty() => EndpointChange::Clear,
            Some(url) => EndpointChange::Set(url),
        })
    }

    fn written<'a>(&self, value: &'a EndpointChange) -> Option<impl Serialize + 'a> {
        match value {
            EndpointChange::Keep => None,
            EndpointChange::Clear => Some(""),
            EndpointChange::Set(url) => Some(url),
        }
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> serde_json::Value {
        crate::body::presence::optional_or_empty(url()).schema(generator)
    }
}

body! {
    /// Registers an agent, or renews it: the given fields are replaced.
    pub struct Registration {
        /// The name to take, unique in the repo.
        pub name: AgentName = required(parsed()),
        /// `worker`, `merge-queue`, `supervisor`, …
        pub r#type: String = required(word(LABEL)),
        /// Its location. Absent: `remote` for a service token, `local` for a user's.
        pub location: Option<Location> = optional_or_empty(parsed()),
        /// Its status. Absent: `active`.
        pub status: Option<AgentStatus> = optional_or_empty(parsed()),
        /// The URL that its messages are pushed to. An empty text turns push off.
        pub endpoint: EndpointChange = EndpointField,
        /// The endpoint's secret, which needs an endpoint; generated and answered once if
        /// there is none.
        pub webhook_secret: Option<Secret> = optional_or_empty(WebhookSecret),
        /// The machine that registers. Only the same owner and instance renew a registration.
        pub instance: Option<String> = optional_or_empty(word(LABEL)),
        /// Replaces all key-value pairs.
        pub metadata: Option<Metadata> = optional(Pairs),
        /// Replace a holder of the name that is stopped or was not seen for 180 s, and has no
        /// open stream.
        pub take_over: bool = flag(),
    }
}

body! {
    /// Changes an agent; absent fields keep their values. An empty object is a heartbeat.
    #[derive(Default)]
    pub struct AgentUpdate {
        /// Its new status.
        pub status: Option<AgentStatus> = optional_or_empty(parsed()),
        /// The new type.
        pub r#type: Option<String> = optional_or_empty(word(LABEL)),
        /// Its new location.
        pub location: Option<Location> = optional_or_empty(parsed()),
        /// The URL that its messages are pushed to. An empty text turns push off.
        pub endpoint: EndpointChange = EndpointField,
        /// The endpoint's secret, which needs an endpoint; generated and answered once if
        /// there is none.
        pub webhook_secret: Option<Secret> = optional_or_empty(WebhookSecret),
        /// Replaces all key-value pairs.
        pub metadata: Option<Metadata> = optional(Pairs),
    }
}

impl Registration {
    /// A registration of `name` as a `type`, with defaults for everything else.
    pub fn new(name: AgentName, r#type: &str) -> Self {
        Self {
            name,
            r#type: r#type.to_owned(),
            location: None,
            status: None,
            endpoint: EndpointChange::Keep,
            webhook_secret: None,
            instance: None,
            metadata: None,
            take_over: false,
        }
    }
}

#[cfg(test)]
mod tests;
