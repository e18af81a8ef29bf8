//! The last hop, as the inbox sees it: from multiclaude's message file into the
//! running agent.

use std::fmt::Debug;

/// Hands messages to running agents.
pub trait LastHop: Debug + Send + Sync + 'static {
    /// A message of a local agent has a file, and was not read yet.
    fn offer(&self, local: &str, id: &str);

    /// The agent has read a message on its own: it need not be handed over.
    fn withdraw(&self, local: &str, id: &str);

    /// Hands nothing over any more.
    fn stop(&self);

    /// The messages of a local agent that wait, in order, and why.
    fn waiting(&self, local: &str) -> Vec<(String, String)>;
}
