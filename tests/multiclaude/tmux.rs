//! Sessions and windows. tmux replaces `.` and `:` in the names of sessions.

use std::process::{Command, Stdio};

/// Are there windows at all?
pub(crate) fn is_used() -> bool {
    std::env::var("STAND_IN_TMUX").as_deref() != Ok("0")
}

fn tmux(args: &[&str]) -> Option<String> {
    let output = Command::new("tmux").args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn target(session: &str) -> String {
    format!("={}", session.replace(['.', ':'], "_"))
}

pub(crate) fn has_session(session: &str) -> bool {
    !is_used() || tmux(&["has-session", "-t", &target(session)]).is_some()
}

pub(crate) fn has_window(session: &str, window: &str) -> bool {
    let listed = || tmux(&["list-windows", "-t", &target(session), "-F", "#{window_name}"]);
    !is_used() || listed().is_some_and(|names| names.lines().any(|name| name == window))
}

/// The session's current window, which need not be the caller's.
pub(crate) fn current_window() -> Option<String> {
    tmux(&["display-message", "-p", "#{window_name}"]).map(|name| name.trim().to_owned())
}

/// A window with a shell in it, in a session that is created if need be.
pub(crate) fn make_window(session: &str, window: &str, dir: &str) {
    if !is_used() {
        return;
    }
    if has_session(session) {
        let at = format!("{}:", target(session));
        tmux(&["new-window", "-d", "-t", &at, "-n", window, "-c", dir]);
    } else {
        tmux(&["new-session", "-d", "-s", session, "-n", window, "-c", dir]);
    }
}

/// Types the start of a claude into the window's shell; the shell's process id.
pub(crate) fn start_claude(session: &str, window: &str, session_id: &str) -> u32 {
    let at = format!("{}:={window}", target(session));
    let line = format!("claude --session-id {session_id} --dangerously-skip-permissions");
    tmux(&["send-keys", "-t", &at, &line, "Enter"]);
    let pid = tmux(&["list-panes", "-t", &at, "-F", "#{pane_pid}"]).unwrap_or_default();
    pid.lines().next().and_then(|pid| pid.parse().ok()).unwrap_or_default()
}

/// Pastes a text, without brackets, and an Enter: where claude has exited, a
/// shell executes it.
pub(crate) fn paste(session: &str, window: &str, text: &str) -> bool {
    let at = format!("{}:={window}", target(session));
    !is_used()
        || tmux(&["send-keys", "-l", "-t", &at, text, ";", "send-keys", "-t", &at, "Enter"])
            .is_some()
}

pub(crate) fn kill_window(session: &str, window: &str) {
    tmux(&["kill-window", "-t", &format!("{}:={window}", target(session))]);
}
