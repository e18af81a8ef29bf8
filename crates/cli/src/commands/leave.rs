//! `leave`: back to plain multiclaude.

use super::logout::{forgot, still_valid};
use super::{bridge, mcp};
use crate::crypt;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::counted;
use crate::secrets;
use crate::session::{Need, Session};
use crate::settings::{Login, RepoSettings, covered};
use clap::Args;
use multiclaude_hybrid_client::BaseUrl;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::token::Scope;
use serde_json::json;

/// Turn hybrid mode off for a repo, and forget its token.
///
/// Deregisters this machine's agents of the repo, and removes its links and settings, and the
/// tokens that are for it alone. Bridge and shim stay. With the last repo, the key
/// of this machine goes, too: messages that are encrypted for it cannot be read any more. So does
/// the MCP server in your Claude Code settings.
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// The repo: multiclaude's name for it, or owner/repo [default: this directory's, else multiclaude's current one]
    repo: Option<String>,
    /// Leave even if its agents cannot be deregistered now, or one stands down here
    #[arg(long)]
    force: bool,
}

const LAST: &str = "No other repo is hybrid here; `multiclaude-hybrid bridge uninstall` removes the bridge, \
`multiclaude-hybrid shim uninstall` the shim.";

fn ids(logins: &[Login]) -> Vec<&str> {
    logins.iter().map(|login| login.token_id.as_str()).collect()
}

impl LeaveArgs {
    pub async fn run(&self, session: &mut Session) -> Outcome {
        let (repo, _) = session.resolve(self.repo.as_deref())?;
        let Some(here) = session.settings.repos.get(repo.as_str()).cloned() else {
            return Err(
                Failure::new(format!("this machine has not joined {repo}")).exit(Exit::NotFound)
            );
        };
        if !self.force {
            check_stood_down(&repo, &here)?;
        }
        // A running bridge would register its agents again.
        enable(session, &repo, false)?;
        crate::bridge::wait_until_unserved(session, &repo).await?;
        let removed = self.deregister(session, &repo, here.enabled).await?;
        remove_links(session, &repo)?;
        let tokens = forget(session, &repo, here.api_endpoint.as_deref())?;
        let mut changed = None;
        if session.settings.repos.is_empty() {
            crypt::forget_own(session)?;
            changed = mcp::remove(session)?;
        }
        let value = json!({
            "repo": repo, "deregistered": removed,
            "forgotten": ids(&tokens.forgotten), "kept": ids(&tokens.kept),
        });
        session.out.show(&value, || {
            let mut lines = vec![format!(
                "Left {repo}: {} deregistered. multiclaude itself goes on as before.",
                counted(removed.len(), "agent")
            )];
            lines.extend(tokens.lines());
            if session.settings.repos.is_empty() {
                lines.push(LAST.to_owned());
            }
            lines.extend(changed);
            lines.join("\n")
        })
    }

    /// Deregisters this machine's agents; returns their names. A failure sets hybrid mode back
    /// to `was_enabled`; with --force it is only a warning.
    async fn deregister(
        &self,
        session: &mut Session,
        repo: &Repo,
        was_enabled: bool,
    ) -> Outcome<Vec<String>> {
        match deregister(session, repo).await {
            Err(failure) if self.force => {
                session.out.warn(&format!(
                    "the agents of this machine stay registered, and mail for them waits until they are \
                     removed: {}",
                    failure.message
                ));
                Ok(Vec::new())
            }
            Err(failure) => {
                enable(session, repo, was_enabled)?;
                Err(failure
                    .about("the agents of this machine could not be deregistered")
                    .hint("try again later; or forget the repo here anyway: --force"))
            }
            done => done,
        }
    }
}

/// Fails if a role stands down here: without the repo's settings it would not come back.
fn check_stood_down(repo: &Repo, here: &RepoSettings) -> Outcome {
    let Some(role) = here.stood_down.first() else {
        return Ok(());
    };
    Err(Failure::new(format!("{role} stands down here, and would not come back"))
        .exit(Exit::Conflict)
        .hint(format!(
            "bring it back first: multiclaude-hybrid stand-up {role} --repo {repo}; or leave anyway: \
             --force"
        )))
}

/// Turns hybrid mode on or off for a repo that this machine has joined.
fn enable(session: &mut Session, repo: &Repo, enabled: bool) -> Outcome {
    session.change(|settings| {
        if let Some(here) = settings.repos.get_mut(repo.as_str()) {
            here.enabled = enabled;
        }
    })
}

/// Deregisters what this home has registered.
async fn deregister(session: &Session, repo: &Repo) -> Outcome<Vec<String>> {
    let at = session.in_repo(Some(repo.as_str()), Need::Use)?;
    let mut removed = Vec::new();
    for agent in at.agents_of_owner().await? {
        if session.settings.has_registered(&agent) {
            at.client.deregister(&agent.name, Some(&agent.id)).await?;
            removed.push(agent.name.to_string());
        }
    }
    Ok(removed)
}

/// Removes the links of the repo, unless a bridge runs: it does so when it sees the settings.
fn remove_links(session: &Session, repo: &Repo) -> Outcome {
    if session.home.bridge().is_running() {
        return Ok(());
    }
    let waiting = bridge::remove_links(session, repo)?;
    if waiting > 0 {
        session.out.warn(&format!(
            "{} for other machines were not sent; they leave if this machine joins again",
            counted(waiting, "message")
        ));
    }
    Ok(())
}

/// The tokens that covered a repo that was left.
struct Tokens {
    forgotten: Vec<Login>,
    kept: Vec<Login>,
}

impl Tokens {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.forgotten.iter().map(|login| format!("{}.", forgot(login))).collect();
        if !self.forgotten.is_empty() {
            lines.push(still_valid(&self.forgotten.iter().collect::<Vec<_>>()));
        }
        lines.extend(self.kept.iter().map(|login| {
            let (id, owner) = (&login.token_id, &login.owner);
            let more = covered(login.kind, &login.repos);
            format!(
                "Kept the token {id} of {owner}, which covers {more}. To forget it: multiclaude-hybrid \
                 logout {id}"
            )
        }));
        lines
    }
}

/// Forgets what this machine knows of a repo, with the tokens that were for it alone.
fn forget(session: &mut Session, repo: &Repo, url: Option<&str>) -> Outcome<Tokens> {
    let there = |login: &&Login| {
        url.is_none_or(|url| BaseUrl::is_same(url, &login.url)) && login.covers(repo)
    };
    let logins = session.settings.logins.iter().filter(there).cloned();
    let (forgotten, kept): (Vec<_>, Vec<_>) =
        logins.partition(|login| login.repos == [Scope::Repo(repo.clone())]);
    for login in &forgotten {
        secrets::forget(&session.home, &login.secret(), login.place)?;
    }
    session.change(|settings| {
        settings.repos.remove(repo.as_str());
        settings.nicknames.retain(|_, known| known.repo != *repo);
        settings.logins.retain(|login| !forgotten.contains(login));
    })?;
    Ok(Tokens { forgotten, kept })
}
