//! `open`: the coordinator's API reference in a browser.

use crate::failure::Outcome;
use crate::options::RepoArg;
use crate::session::{Need, Session};
use clap::Args;
use serde_json::json;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Open the API reference of the coordinator in a browser.
///
/// Its URL is printed in any case. With --json, or without a display, nothing
/// is opened.
#[derive(Debug, Args)]
pub struct OpenArgs {
    #[command(flatten)]
    repo: RepoArg,
}

impl OpenArgs {
    pub fn run(&self, session: &Session) -> Outcome {
        let url = format!("{}/docs", self.coordinator(session)?);
        session.out.show(&json!({ "url": url }), || url.clone())?;
        if !session.out.is_json() && has_display() {
            browse(session, &url);
        }
        Ok(())
    }

    /// The coordinator of the repo, else that of this machine.
    fn coordinator(&self, session: &Session) -> Outcome<String> {
        let repo = match self.repo.given() {
            Some(given) => Some(session.resolve(Some(given))?.0),
            None => session.resolve(None).ok().map(|(repo, _)| repo),
        };
        if let Some(url) = session.coordinator_url(repo.as_ref())? {
            return Ok(url);
        }
        let of_repo = repo.as_ref().and_then(|repo| session.login(Some(repo), Need::Use).ok());
        let login = match of_repo {
            Some(login) => login,
            None => session.login(None, Need::Use)?,
        };
        Ok(login.url.clone())
    }
}

/// Is there a screen that a browser can be shown on?
fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

fn browse(session: &Session, url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    if let Err(error) = started {
        session.out.warn(&format!("no browser was opened: {opener}: {error}"));
    }
}
