//! The interface of the socket to the rest of the bridge.

use crate::hop::Process;
use serde_json::Value;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

/// The agent that a process acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// multiclaude's name of the repo.
    pub nickname: String,
    /// multiclaude's name of the agent.
    pub local: String,
    /// The claude that has started the process, if it is the one in the agent's
    /// window.
    pub claude: Option<Process>,
}

/// Answers the socket's server.
pub trait Serving: Debug + Send + Sync + 'static {
    /// The registered name and `owner/repo` of a local agent; `None` if its repo is not
    /// served.
    fn named(&self, agent: &Agent) -> Option<(Option<String>, String)>;

    /// Calls a tool on behalf of an agent.
    fn call(
        self: Arc<Self>,
        agent: Agent,
        tool: String,
        arguments: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;
}
