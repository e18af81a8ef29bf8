//! The inbox's interface to the last hop, from multiclaude's message file into the running
//! agent.

use std::fmt::Debug;

/// Hands messages to running agents.
pub trait LastHop: Debug + Send + Sync + 'static {
    /// Offers an unread message of a local agent, which has a file.
    fn offer(&self, local: &str, id: &str);

    /// Withdraws a message that the agent has read itself.
    fn withdraw(&self, local: &str, id: &str);

    /// Stops handing messages over.
    fn stop(&self);

    /// The messages of a local agent that wait, in order, and why.
    fn waiting(&self, local: &str) -> Vec<(String, String)>;
}
