//! Answers agents' MCP servers for all repos.

use crate::lock::locked;
use crate::repo::RepoBridge;
use crate::socket::{Agent, Serving};
use serde_json::Value;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

/// The repos that are served, by multiclaude's names for them.
#[derive(Debug, Default)]
pub(super) struct ServedRepos {
    repos: Mutex<BTreeMap<String, Arc<RepoBridge>>>,
}

impl ServedRepos {
    /// Replaces the served repos.
    pub(super) fn serve(&self, repos: impl Iterator<Item = Arc<RepoBridge>>) {
        let repos = repos.map(|repo| (repo.setup.nickname.clone(), repo));
        *locked(&self.repos) = repos.collect();
    }

    fn of(&self, agent: &Agent) -> Option<Arc<RepoBridge>> {
        locked(&self.repos).get(&agent.nickname).cloned()
    }
}

impl Serving for ServedRepos {
    fn named(&self, agent: &Agent) -> Option<(Option<String>, String)> {
        let repo = self.of(agent)?;
        let name = repo.registered_name(&agent.local).map(|name| name.to_string());
        Some((name, repo.setup.repo.to_string()))
    }

    fn call(
        self: Arc<Self>,
        agent: Agent,
        tool: String,
        arguments: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> {
        Box::pin(async move {
            let repo = self.of(&agent);
            let repo = repo.ok_or("the bridge does not serve this repo any more")?;
            repo.call_tool(&agent.local, &tool, arguments).await
        })
    }
}
