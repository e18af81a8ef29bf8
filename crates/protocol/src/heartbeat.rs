//! Wire types of `POST …/heartbeats`.

use crate::agent::{AgentStatus, unless_empty};
use crate::error::FieldError;
use crate::fields::{Fields, Metadata};
use crate::{AgentId, AgentName};
use serde::{Deserialize, Serialize};

/// Heartbeats in one request.
pub const HEARTBEATS_MAX: usize = 100;

/// One entry of `POST …/heartbeats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The agent.
    pub name: AgentName,
    /// The incarnation that beats, if it says.
    #[serde(default)]
    pub id: Option<AgentId>,
    /// Its status; absent: as it was.
    #[serde(default)]
    pub status: Option<AgentStatus>,
    /// Replaces its metadata; absent: as it was.
    #[serde(default)]
    pub metadata: Option<Metadata>,
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

impl Heartbeat {
    /// Reads the entries of `POST …/heartbeats`.
    pub fn from_list(entries: Vec<Fields>) -> Result<Vec<Self>, Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut beats = Vec::with_capacity(entries.len());
        for (at, fields) in entries.into_iter().enumerate() {
            match Self::from_fields(fields) {
                Ok(beat) => beats.push(beat),
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| FieldError {
                        field: format!("{at}.{}", fault.field),
                        ..fault
                    }));
                }
            }
        }
        if faults.is_empty() { Ok(beats) } else { Err(faults) }
    }

    fn from_fields(mut fields: Fields) -> Result<Self, Vec<FieldError>> {
        let name = fields.required("name", |text| {
            AgentName::parse(text).map_err(|error| format!("the agent name {error}"))
        });
        let id =
            fields.parsed("id", |text| AgentId::parse(text).ok_or("must be agt_<32 hex digits>"));
        let status = fields.parsed("status", unless_empty(AgentStatus::parse)).flatten();
        let metadata = fields.metadata("metadata");
        let beat = name.map(|name| Self { name, id, status, metadata });
        fields.finish(beat)
    }
}
