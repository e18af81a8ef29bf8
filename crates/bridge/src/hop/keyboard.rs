//! The keyboard: pastes and presses Enter, each guarded in the same tmux call.

use super::screen::Screen;
use crate::multiclaude::Pane;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// How long tmux may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// tmux prints this if a guard allowed the action.
const DONE: &str = "done";

/// Captures the screen of a pane.
///
/// # Errors
/// tmux fails, or the pane is gone.
pub(super) async fn screen(pane: &str) -> io::Result<Screen> {
    Ok(Screen::read(&tmux(&["capture-pane", "-e", "-p", "-t", pane], b"").await?))
}

/// Pastes a text, as one paste, if the claude is still in the foreground and the pane is
/// not in copy mode; returns whether it did.
///
/// # Errors
/// As [`screen`].
pub(super) async fn paste(pane: &Pane, id: &str, text: &str) -> io::Result<bool> {
    let (buffer, at) = (format!("multiclaude-hybrid-{id}"), &pane.id);
    let paste = format!("paste-buffer -p -d -b {buffer} -t {at} ; display-message -p {DONE}");
    let guard = guard(pane, "#{==:#{pane_dead},0}");
    let or_else = format!("delete-buffer -b {buffer}");
    let args = ["load-buffer", "-b", &buffer, "-", ";"];
    let args = args.into_iter().chain(["if-shell", "-F", "-t", at, &guard, &paste, &or_else]);
    let answer = tmux(&args.collect::<Vec<_>>(), text.as_bytes()).await?;
    Ok(answer.trim() == DONE)
}

/// Presses Enter, if the claude is still in the foreground, the pane is not in copy mode,
/// and the beginning of `id` is on its screen; returns whether it did.
///
/// # Errors
/// As [`screen`].
pub(super) async fn enter(pane: &Pane, id: &str) -> io::Result<bool> {
    let beginning: String = id.chars().take(20).collect();
    let guard = guard(pane, &format!("#{{C:{beginning}}}"));
    let press = format!("send-keys -t {at} Enter ; display-message -p {DONE}", at = pane.id);
    let answer = tmux(&["if-shell", "-F", "-t", &pane.id, &guard, &press], b"").await?;
    Ok(answer.trim() == DONE)
}

/// The condition for a paste or an Enter. A shell in the foreground would run the text.
fn guard(pane: &Pane, more: &str) -> String {
    // Leave out characters with a meaning in tmux's formats.
    let command: String =
        pane.command.chars().filter(|char| !matches!(char, '#' | ',' | '{' | '}')).collect();
    let same = format!("#{{==:#{{pane_current_command}},{command}}}");
    format!("#{{&&:#{{==:#{{pane_in_mode}},0}},#{{&&:{same},{more}}}}}")
}

/// Shows a text in tmux's status line of the pane's clients.
pub(super) async fn notify(pane: &str, text: &str) {
    // Escape the characters that tmux would expand.
    let text = text.replace('#', "##").replace('%', "%%");
    let _ = tmux(&["display-message", "-t", pane, "-d", "8000", &text], b"").await;
}

async fn tmux(args: &[&str], input: &[u8]) -> io::Result<String> {
    let mut command = Command::new("tmux");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = async {
        let mut child = command.kill_on_drop(true).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).await?;
        }
        child.wait_with_output().await
    };
    let output =
        timeout(PATIENCE, run).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
