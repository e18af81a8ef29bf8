//! The bridge of this machine, as the commands see it.

use crate::failure::{Failure, Outcome};
use crate::files::read_json;
use crate::output::{Look, safe};
use crate::session::Session;
use multiclaude_hybrid_bridge::status::Status;
use multiclaude_hybrid_bridge::unix::path_fault;
use multiclaude_hybrid_client::protocol::Repo;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a bridge may take to see that a repo was turned off.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last report of the running bridge; nothing if none runs.
pub fn running(session: &Session) -> Outcome<Option<Status>> {
    let dirs = session.home.bridge();
    if !dirs.is_running() {
        return Ok(None);
    }
    let hint = |_: &str| "restart the bridge; it writes the file again".to_owned();
    // Without the file it has just been started for the first time.
    Ok(Some(read_json(&dirs.status(), hint)?.unwrap_or_default()))
}

/// The reason why multiclaude's daemon does not run, and a hint.
pub fn daemon_is_down(session: &Session) -> (String, &'static str) {
    match path_fault(&session.home.multiclaude().socket()) {
        Some(fault) => (
            format!("cannot run in this home: {fault}"),
            "set HOME to a shorter path, for example that of a link to this home",
        ),
        None => ("not running".to_owned(), "multiclaude start"),
    }
}

/// Does multiclaude's daemon run? With a hint, if not.
pub fn daemon_line(session: &Session, runs: bool) -> String {
    if runs {
        return Look::Good.paint("running");
    }
    let (why, hint) = daemon_is_down(session);
    format!("{} ({hint})", Look::Bad.paint(&safe(&why)))
}

/// Does a running bridge carry messages of this clone of the repo?
pub fn serves(status: Option<&Status>, repo: &Repo, nickname: Option<&str>) -> bool {
    let mut repos = status.into_iter().flat_map(|status| &status.repos);
    repos.any(|served| served.repo == repo.as_str() && nickname == Some(&*served.nickname))
}

/// Waits until a running bridge no longer serves a repo that was turned off.
pub async fn wait_until_unserved(session: &Session, repo: &Repo) -> Outcome {
    let until = Instant::now() + PATIENCE;
    while let Some(status) = running(session)? {
        if !status.repos.iter().any(|served| served.repo == repo.as_str()) {
            break;
        }
        if Instant::now() > until {
            return Err(Failure::new(format!("the bridge still serves {repo}"))
                .hint("stop it, then run this again: `multiclaude-hybrid bridge status` shows its process"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
