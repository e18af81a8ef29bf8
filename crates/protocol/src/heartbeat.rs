//! Wire types of `POST …/heartbeats`.

use crate::agent::AgentStatus;
use crate::body::body;
use crate::metadata::Metadata;
use crate::{AgentId, AgentName};
use serde::{Deserialize, Serialize};

/// Heartbeats in one request.
pub const HEARTBEATS_MAX: usize = 100;

body! {
    /// A sign of life: one entry of `POST …/heartbeats`.
    pub struct Heartbeat {
        /// The agent.
        pub name: AgentName = required(parsed()),
        /// The incarnation that beats.
        pub id: Option<AgentId> = optional(parsed()),
        /// Its status; absent: as it was.
        pub status: Option<AgentStatus> = or_empty(parsed()),
        /// Replaces its key-value pairs; absent: as they were.
        pub metadata: Option<Metadata> = optional(metadata()),
    }
}

/// What became of one heartbeat: `ok`, or the code a PATCH would have got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeartbeatResult {
    /// The agent.
    pub name: AgentName,
    /// `ok`, `agent_not_found`, `agent_superseded` or `forbidden`.
    pub result: String,
}
