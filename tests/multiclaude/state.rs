//! `state.json`: written by the daemon alone, replaced in one step.

use chrono::{Local, SecondsFormat};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

/// The directories of a user.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// `$HOME/.multiclaude`.
    pub(crate) fn of_user() -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        Self { root: home.join(".multiclaude") }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("daemon.sock")
    }

    pub(crate) fn worktree(&self, repo: &str, agent: &str) -> PathBuf {
        self.root.join("wts").join(repo).join(agent)
    }

    pub(crate) fn messages(&self, repo: &str, agent: &str) -> PathBuf {
        self.root.join("messages").join(repo).join(agent)
    }

    pub(crate) fn clone_of(&self, repo: &str) -> PathBuf {
        self.root.join("repos").join(repo)
    }
}

/// Now, as Go prints it: nanoseconds, in the zone of the machine.
pub(crate) fn now() -> String {
    Local::now().to_rfc3339_opts(SecondsFormat::Nanos, false)
}

/// A session id.
pub(crate) fn session_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The state, in the daemon's memory and on disk.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    value: Mutex<Value>,
}

impl State {
    pub(crate) fn load(home: &Home) -> Self {
        let path = home.root().join("state.json");
        let value = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { path, value: Mutex::new(value.unwrap_or_else(|| json!({ "repos": {} }))) }
    }

    /// Reads it.
    pub(crate) fn get(&self) -> Value {
        self.value.lock().unwrap().clone()
    }

    /// Changes it, in memory and on disk.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Value) -> T) -> T {
        let mut value = self.value.lock().unwrap();
        let result = change(&mut value);
        let draft = self.path.with_extension("json.tmp");
        let text = serde_json::to_vec_pretty(&*value).unwrap();
        // The home may have been removed under the daemon.
        let _ = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &self.path));
        result
    }

    /// The names of a repo's agents.
    pub(crate) fn agents(&self, repo: &str) -> Vec<String> {
        let value = self.get();
        let agents = value["repos"][repo]["agents"].as_object().cloned().unwrap_or_default();
        agents.into_iter().map(|(name, _)| name).collect()
    }

    /// The names of the repos.
    pub(crate) fn repos(&self) -> Vec<String> {
        let value = self.get();
        value["repos"]
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    pub(crate) fn agent(&self, repo: &str, agent: &str) -> Option<Value> {
        let value = self.get()["repos"][repo]["agents"][agent].clone();
        (!value.is_null()).then_some(value)
    }

    pub(crate) fn set_agent(&self, repo: &str, agent: &str, value: Value) {
        self.change(|state| state["repos"][repo]["agents"][agent] = value);
    }

    pub(crate) fn remove_agent(&self, repo: &str, agent: &str) {
        self.change(|state| {
            if let Some(agents) = state["repos"][repo]["agents"].as_object_mut() {
                agents.remove(agent);
            }
        });
    }

    pub(crate) fn session(&self, repo: &str) -> String {
        let session = self.get()["repos"][repo]["tmux_session"].clone();
        session.as_str().unwrap_or_default().to_owned()
    }
}
