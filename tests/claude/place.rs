//! Where the session runs.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Home, working directory, and the window of tmux.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) home: PathBuf,
    pub(crate) cwd: PathBuf,
    /// The window's name; without tmux `pid-<process id>`.
    pub(crate) window: String,
    /// `session:@window.%pane`.
    pub(crate) pane: String,
}

impl Place {
    pub(crate) fn of_process() -> Self {
        let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let cwd = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let (window, pane) =
            of_tmux().unwrap_or_else(|| (format!("pid-{}", std::process::id()), String::new()));
        Self { home, cwd, window, pane }
    }

    /// Where tests find the control socket and the log.
    pub(crate) fn directory(&self) -> PathBuf {
        self.home.join(".claude-stand-in")
    }

    /// What MCP servers get beside the session's own environment.
    pub(crate) fn environment(&self, session: &str, version: &str) -> Vec<(String, String)> {
        let agent = format!("claude-code_{}_harness", version.replace('.', "-"));
        [
            ("CLAUDECODE", "1"),
            ("CLAUDE_CODE_ENTRYPOINT", "cli"),
            ("AI_AGENT", &agent),
            ("CLAUDE_CODE_SESSION_ID", session),
            ("CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS", session),
            ("CLAUDE_PROJECT_DIR", &self.cwd.to_string_lossy()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

fn of_tmux() -> Option<(String, String)> {
    let pane = env::var("TMUX_PANE").ok()?;
    let format = "#{window_name}\t#{session_name}:#{window_id}.#{pane_id}";
    let output = Command::new("tmux")
        .args(["display-message", "-p", "-t", &pane, format])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (window, pane) = text.trim_end().split_once('\t')?;
    Some((window.to_owned(), pane.to_owned()))
}
