//! The merge-queue: one for all machines of a repo, or two merge the same pull
//! requests.

use multiclaude_hybrid_client::protocol::agent::{Agent, AgentStatus};

/// Its type, and the name that the one for all is registered under.
pub const MERGE_QUEUE: &str = "merge-queue";

/// The one that serves all machines, of these agents.
pub fn serving(agents: &[Agent]) -> Option<&Agent> {
    agents.iter().find(|agent| {
        agent.name.as_str() == MERGE_QUEUE
            && agent.r#type == MERGE_QUEUE
            && agent.status != AgentStatus::Stopped
    })
}
