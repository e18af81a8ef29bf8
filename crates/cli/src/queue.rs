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

/// The commands that end the one of multiclaude's repo `name`, and nothing else;
/// `session` is its tmux session, the usual one if empty.
pub fn end_here(name: &str, session: &str) -> String {
    let session = match session {
        "" => format!("mc-{name}"),
        session => session.to_owned(),
    };
    format!(
        "multiclaude config {name} --mq-enabled=false; tmux kill-window -t \
         '={session}:={MERGE_QUEUE}'"
    )
}
