//! Wire types of `POST …/heartbeats`.

use crate::agent::AgentStatus;
use crate::body::body;
use crate::metadata::Metadata;
use crate::{AgentId, AgentName};
use serde::{Deserialize, Serialize};

/// Heartbeats in one request.
pub const HEARTBEATS_MAX: usize = 100;

body! {
    /// A heartbeat: one entry of `POST …/heartbeats`.
    pub struct Heartbeat {
        /// The agent.
        pub name: AgentName = required(parsed()),
        /// The incarnation.
        pub id: Option<AgentId> = optional(parsed()),
        /// Its status; absent: unchanged.
        pub status: Option<AgentStatus> = optional_or_empty(parsed()),
        /// Replaces its key-value pairs; absent: unchanged.
        pub metadata: Option<Metadata> = optional(Pairs),
    }
}

/// The result of one heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeartbeatResult {
    /// The agent.
    pub name: AgentName,
    /// `ok`, `agent_not_found`, `agent_superseded` or `forbidden`.
    pub result: String,
}
