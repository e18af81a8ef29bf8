//! Values that the tests use.

use crate::mailbox::{AgentRef, ConfigureRequest, Draft};
use crate::registry::Version;
use multiclaude_hybrid_protocol::{AgentId, AgentName, Owner, Timestamp};

pub(super) fn name(text: &str) -> AgentName {
    AgentName::parse(text).unwrap()
}

pub(super) fn agent_id(n: u32) -> AgentId {
    AgentId::new(Timestamp(0), [n as u8; 10])
}

pub(super) fn sender(n: u32) -> AgentRef {
    AgentRef { name: name("s"), id: agent_id(n) }
}

/// A request that sets the endpoint, if there is one.
pub(super) fn request(generation: u32, revision: u32, endpoint: Option<&str>) -> ConfigureRequest {
    ConfigureRequest {
        kind: None,
        agent_id: agent_id(generation),
        owner: Owner::parse("dan").unwrap(),
        version: Version { generation, revision },
        endpoint: endpoint.map(str::to_owned),
        sets_endpoint: endpoint.is_some(),
    }
}

pub(super) fn draft() -> Draft {
    Draft {
        agent: name("a"),
        ttl_secs: None,
        sender: None,
        sender_owner: None,
        key: None,
        push_id: None,
        random: 0,
        is_notice: false,
    }
}
