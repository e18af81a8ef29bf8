//! `~/.multiclaude/state.json`: read only, replaced by multiclaude in one step.
//!
//! Unknown fields, types and statuses are accepted: forks of multiclaude add some.

use multiclaude_hybrid_client::protocol::Repo;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The content of `state.json`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct State {
    /// The repos, by nickname.
    #[serde(default, deserialize_with = "or_null")]
    pub repos: BTreeMap<String, LocalRepo>,
    /// The nickname of the repo that commands mean by default.
    #[serde(default)]
    current_repo: Option<String>,
}

/// A repo that multiclaude works on.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct LocalRepo {
    /// The URL that it was cloned from.
    #[serde(default)]
    pub github_url: String,
    /// Its agents' tmux session, as the state spells it: see [`LocalRepo::tmux_target`].
    #[serde(default)]
    pub tmux_session: String,
    /// The agents, by name.
    #[serde(default, deserialize_with = "or_null")]
    pub agents: BTreeMap<String, LocalAgent>,
    /// The upstream repo, if it is a fork.
    #[serde(default, deserialize_with = "or_null")]
    pub fork_config: Fork,
    /// The workers that ended here, the latest last.
    #[serde(default, deserialize_with = "or_null")]
    pub task_history: Vec<Ended>,
}

/// Whether a repo is a fork, and of which.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Fork {
    #[serde(rename = "is_fork")]
    forked: bool,
    upstream_owner: String,
    upstream_repo: String,
}

/// A worker that ended.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// The worker's name.
    pub name: String,
    /// When it was created: a later worker of the same name has another time.
    pub created_at: String,
    /// `failed`, or `unknown`.
    pub status: String,
    /// The summary that it reported.
    #[serde(deserialize_with = "or_null")]
    pub summary: Option<String>,
    /// Why it failed.
    #[serde(deserialize_with = "or_null")]
    pub failure_reason: Option<String>,
}

impl LocalRepo {
    /// The repo that it is a fork of.
    pub fn upstream(&self) -> Option<Repo> {
        let fork = &self.fork_config;
        let name = format!("{}/{}", fork.upstream_owner, fork.upstream_repo);
        fork.forked.then(|| Repo::parse(&name).ok())?
    }

    /// The session's name as tmux has it: tmux replaces `.` and `:`.
    pub fn tmux_target(&self) -> String {
        self.tmux_session.replace(['.', ':'], "_")
    }

    /// The agent with this window.
    pub fn in_window(&self, at: &Window) -> Option<&str> {
        let mut agents = self.agents.iter();
        let (name, _) = agents.find(|(name, agent)| {
            let window = if agent.tmux_window.is_empty() { name } else { &agent.tmux_window };
            *window == at.window
        })?;
        (self.tmux_target() == at.session).then_some(name.as_str())
    }

    /// The only agent that works in the shared clone.
    pub fn only_resident(&self, clone: &Path) -> Option<&str> {
        let lives_there = |agent: &LocalAgent| Path::new(&agent.worktree_path) == clone;
        let mut residents = self.agents.iter().filter(|(_, agent)| lives_there(agent));
        match (residents.next(), residents.next()) {
            (Some((only, _)), None) => Some(only),
            _ => None,
        }
    }
}

/// A window of tmux, by its session and its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The session's name, as tmux has it.
    pub session: String,
    /// The window's name.
    pub window: String,
}

/// An agent of this machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalAgent {
    /// `supervisor`, `worker`, `workspace`, …
    pub r#type: String,
    /// Its directory; the shared clone for a supervisor or a merge-queue.
    pub worktree_path: String,
    /// Its window in the repo's tmux session.
    pub tmux_window: String,
    /// The session id that its claude was started with.
    pub session_id: String,
    /// When it was created.
    pub created_at: String,
}

/// Why the state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// It is not the JSON that multiclaude writes.
    #[error("{path} is damaged: {error}")]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The fault.
        error: serde_json::Error,
    },
}

/// Reads null as the default: Go writes it for a map that was never made.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl State {
    /// The nickname of the current repo, if that repo still exists.
    pub fn current(&self) -> Option<&str> {
        let name = self.current_repo.as_deref();
        name.filter(|name| self.repos.contains_key(*name))
    }

    /// The nickname of the only repo, if there is just one.
    pub fn only(&self) -> Option<&str> {
        let mut names = self.repos.keys();
        names.next().filter(|_| self.repos.len() == 1).map(String::as_str)
    }

    /// Reads the state; `None` if multiclaude has none yet.
    ///
    /// # Errors
    /// It exists, and cannot be read or understood.
    pub fn load(path: &Path) -> Result<Option<Self>, StateError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::Read { path: path.to_owned(), error }),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| StateError::Damaged { path: path.to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_repo_must_exist_and_the_only_one_must_be_alone() {
        let state = |text: &str| serde_json::from_str::<State>(text).unwrap();
        let two = state(r#"{"repos": {"a": {}, "b": {}}, "current_repo": "b"}"#);
        assert_eq!((two.current(), two.only()), (Some("b"), None));
        let gone = state(r#"{"repos": {"a": {}}, "current_repo": "b"}"#);
        assert_eq!((gone.current(), gone.only()), (None, Some("a")));
        assert_eq!(state("{}").only(), None);
    }

    #[test]
    fn a_window_is_an_agents_only_in_its_session() {
        let text = r#"{"tmux_session": "mc-a.b", "agents": {"fox": {"tmux_window": "fox-1", "worktree_path":
            "/m/wts/a/fox"}, "supervisor": {"worktree_path": "/m/repos/a"}}}"#;
        let mut repo: LocalRepo = serde_json::from_str(text).unwrap();
        for (session, window, agent) in [
            ("mc-a_b", "fox-1", Some("fox")),
            ("mc-a_b", "supervisor", Some("supervisor")),
            ("mc-a_b", "fox", None),
            ("mc-other", "supervisor", None),
        ] {
            let at = Window { session: session.to_owned(), window: window.to_owned() };
            assert_eq!(repo.in_window(&at), agent, "{at:?}");
        }
        let clone = Path::new("/m/repos/a");
        assert_eq!(repo.only_resident(clone), Some("supervisor"));
        repo.agents.insert("merge-queue".to_owned(), repo.agents["supervisor"].clone());
        assert_eq!(repo.only_resident(clone), None);
    }

    #[test]
    fn unknown_fields_of_forks_are_ignored() {
        let text = r#"{"repos": {"a.b": {"tmux_session": "mc-a.b", "agents": {"x": {"type": "janitor",
            "mood": 3, "worktree_path": "/w"}}, "task_history": null, "new": []}}, "version": 9}"#;
        let state: State = serde_json::from_str(text).unwrap();
        assert_eq!(state.repos["a.b"].agents["x"].r#type, "janitor");
        assert_eq!(state.repos["a.b"].tmux_target(), "mc-a_b");
    }
}
