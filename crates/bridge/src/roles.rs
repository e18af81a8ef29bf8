//! Standing down: retires a local role that another machine serves, and brings it back.

use crate::dirs::{RepoDirs, make_dir, write_durably};
use crate::multiclaude::{Daemon, DaemonError, LocalAgent, LocalRepo, Paths};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
/// The window that keeps a session alive when its last agent stands down.
const KEEPER: &str = "mc-keeper";
/// The role that multiclaude can switch off.
const MERGE_QUEUE: &str = "merge-queue";

/// Why a role could not be retired or brought back.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// multiclaude's daemon failed or refused.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// tmux or multiclaude failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// The program and its first argument.
        program: String,
        /// Its error output.
        reason: String,
    },
    /// A file cannot be written.
    #[error("the retired role cannot be recorded: {0}")]
    Write(#[from] io::Error),
}

/// The roles of one repo.
#[derive(Debug)]
pub struct Roles<'a> {
    paths: &'a Paths,
    daemon: &'a Daemon,
    nickname: &'a str,
    file: PathBuf,
}

impl<'a> Roles<'a> {
    /// The roles of the repo with this nickname.
    pub fn new(paths: &'a Paths, daemon: &'a Daemon, nickname: &'a str, dirs: &RepoDirs) -> Self {
        Self { paths, daemon, nickname, file: dirs.retired() }
    }

    fn retired(&self) -> BTreeMap<String, LocalAgent> {
        let text = std::fs::read(&self.file).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Has this role been retired here?
    pub fn has_retired(&self, role: &str) -> bool {
        self.retired().contains_key(role)
    }

    fn store_retired(&self, role: &str, agent: &LocalAgent) -> io::Result<()> {
        let mut retired = self.retired();
        retired.insert(role.to_owned(), agent.clone());
        if let Some(dir) = self.file.parent() {
            make_dir(dir)?;
        }
        write_durably(&self.file, &serde_json::to_vec_pretty(&retired)?, 0o600)
    }

    /// Retires the local agent of this role: removes it from multiclaude's state and closes
    /// its window. It is recorded for [`Roles::bring_back`].
    ///
    /// # Errors
    /// See [`RoleError`]; a second call completes the rest.
    pub async fn retire(&self, repo: &LocalRepo, role: &str) -> Result<(), RoleError> {
        if let Some(agent) = repo.agents.get(role) {
            self.store_retired(role, agent)?;
        }
        if role == MERGE_QUEUE {
            self.switch_merge_queue(false).await?;
        }
        match self.daemon.remove_agent(self.nickname, role).await {
            // It was removed already.
            Err(DaemonError::Refused { .. }) => {}
            done => done?,
        }
        let session = repo.tmux_target();
        let window = repo.agents.get(role).map_or(role, |agent| agent.tmux_window.as_str());
        // Without a session there is no window to close.
        let Ok(windows) = list_windows(&session).await else {
            return Ok(());
        };
        let (ours, others): (Vec<_>, Vec<_>) = windows.lines().partition(|name| *name == window);
        if ours.is_empty() {
            return Ok(());
        }
        if others.is_empty() {
            // multiclaude would restore a missing session together with this role.
            let target = format!("={session}:");
            let keep = "exec sleep infinity";
            tmux(&["new-window", "-d", "-t", &target, "-n", KEEPER, "-c", "/", keep]).await?;
        }
        close(&session, window).await
    }

    /// Restores the local agent of this role: its window, its entry in multiclaude's state,
    /// and its claude with its session.
    ///
    /// # Errors
    /// See [`RoleError`].
    pub async fn bring_back(&self, repo: &LocalRepo, role: &str) -> Result<(), RoleError> {
        let default_agent = || LocalAgent {
            r#type: role.to_owned(),
            worktree_path: self.paths.clone_of(self.nickname).to_string_lossy().into_owned(),
            tmux_window: role.to_owned(),
            session_id: Uuid::new_v4().to_string(),
            created_at: String::new(),
        };
        if role == MERGE_QUEUE {
            self.switch_merge_queue(true).await?;
        }
        if repo.agents.contains_key(role) {
            return Ok(());
        }
        let agent = self.retired().remove(role).unwrap_or_else(default_agent);
        let (session, window) = (repo.tmux_target(), &agent.tmux_window);
        let windows = list_windows(&session).await?;
        if !windows.lines().any(|name| name == window) {
            let target = format!("={session}:");
            tmux(&["new-window", "-d", "-t", &target, "-n", window, "-c", &agent.worktree_path])
                .await?;
        }
        let args = json!({
            "repo": self.nickname, "agent": role, "type": agent.r#type, "worktree_path": agent.worktree_path,
            "tmux_window": window, "session_id": agent.session_id,
        });
        self.daemon.ask("add_agent", args).await?;
        let args = json!({ "repo": self.nickname, "agent": role });
        self.daemon.ask("restart_agent", args).await?;
        if windows.lines().any(|name| name == KEEPER) {
            close(&session, KEEPER).await?;
        }
        Ok(())
    }

    async fn switch_merge_queue(&self, on: bool) -> Result<(), RoleError> {
        let switch = format!("--mq-enabled={on}");
        run("multiclaude", &["config", self.nickname, &switch]).await.map(|_| ())
    }
}

/// Closes a window, if it exists.
async fn close(session: &str, window: &str) -> Result<(), RoleError> {
    let closed = tmux(&["kill-window", "-t", &format!("={session}:={window}")]).await;
    let left = list_windows(session).await;
    let is_open = left.is_ok_and(|left| left.lines().any(|name| name == window));
    if is_open { closed.map(|_| ()) } else { Ok(()) }
}

/// The names of a session's windows, one a line.
async fn list_windows(session: &str) -> Result<String, RoleError> {
    tmux(&["list-windows", "-t", &format!("={session}"), "-F", "#{window_name}"]).await
}

async fn tmux(args: &[&str]) -> Result<String, RoleError> {
    run("tmux", args).await
}

async fn run(program: &str, args: &[&str]) -> Result<String, RoleError> {
    let failed = |reason: String| RoleError::Program {
        program: format!("{program} {}", args.first().unwrap_or(&"")),
        reason,
    };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| failed("no answer in time".to_owned()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
