//! `leave`: back to plain multiclaude.

use super::{bridge, mcp};
use crate::crypt;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::counted;
use crate::session::{Need, Session};
use crate::settings::Login;
use clap::Args;
use multiclaude_hybrid_bridge::dirs::Dirs;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::token::Scope;
use multiclaude_hybrid_client::{AgentFilter, BaseUrl};
use serde_json::json;

/// Turn hybrid mode off for a repo, and forget its token.
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// The repo: multiclaude's name for it, or owner/repo [default: this directory's]
    repo: Option<String>,
    /// Forget it here even if its agents cannot be deregistered now
    #[arg(long)]
    force: bool,
}

impl LeaveArgs {
    /// Runs it.
    pub async fn run(&self, session: &mut Session) -> Outcome {
        let (repo, _) = session.resolve(self.repo.as_deref())?;
        let Some(here) = session.settings.repos.get(repo.as_str()).cloned() else {
            return Err(
                Failure::new(format!("this machine has not joined {repo}")).exit(Exit::NotFound)
            );
        };
        if let Some(role) = here.stood_down.first().filter(|_| !self.force) {
            return Err(Failure::new(format!("{role} stands down here, and would stay away"))
                .exit(Exit::Conflict)
                .hint(format!(
                    "bring it back first: multiclaude-hybrid stand-up {role} --repo {repo}; or leave all the \
                     same: --force"
                )));
        }
        // A running bridge would register its agents again.
        session.change(|settings| {
            if let Some(here) = settings.repos.get_mut(repo.as_str()) {
                here.enabled = false;
            }
        })?;
        crate::bridge::lets_go(session, &repo).await?;
        let removed = match self.deregister(session, &repo).await {
            Ok(removed) => removed,
            Err(failure) if self.force => {
                session.out.warn(&format!(
                    "the agents of this machine stay registered, and mail for them waits until they are \
                     removed: {}",
                    failure.message
                ));
                Vec::new()
            }
            Err(failure) => {
                session.change(|settings| {
                    if let Some(known) = settings.repos.get_mut(repo.as_str()) {
                        known.enabled = here.enabled;
                    }
                })?;
                return Err(Failure {
                    message: format!(
                        "the agents of this machine could not be deregistered: {}",
                        failure.message
                    ),
                    hint: Some(
                        "try again later; or forget the repo here all the same: --force".to_owned(),
                    ),
                    ..failure
                });
            }
        };
        // A running bridge removes its links when it sees the settings.
        if !Dirs::of_home(session.home.user()).is_running() {
            let waiting = bridge::remove_links(session, &repo)?;
            if waiting > 0 {
                session.out.warn(&format!(
                    "{} for other machines were not sent; they leave if this machine joins again",
                    counted(waiting, "message")
                ));
            }
        }
        // A token that was for this repo alone is of no use any more.
        let url = here.api_endpoint;
        let useless: Vec<Login> = session
            .settings
            .logins
            .iter()
            .filter(|login| login.repos == [Scope::Repo(repo.clone())])
            .filter(|login| url.as_ref().is_none_or(|url| BaseUrl::is_same(url, &login.url)))
            .cloned()
            .collect();
        for login in &useless {
            session.secrets().forget(&login.secret(), login.place)?;
        }
        session.change(|settings| {
            settings.repos.remove(repo.as_str());
            settings.nicknames.retain(|_, known| known.repo != repo);
            settings.logins.retain(|login| !useless.contains(login));
        })?;
        let mut changed = None;
        if session.settings.repos.is_empty() {
            crypt::forget_own(session)?;
            changed = mcp::remove(session)?;
        }
        let forgotten: Vec<_> = useless.iter().map(|login| &login.token_id).collect();
        let value = json!({ "repo": repo, "deregistered": removed, "forgotten": forgotten });
        session.out.show(&value, || {
            let last = session.settings.repos.is_empty();
            let rest = if last {
                "\nNo other repo is hybrid here; `multiclaude-hybrid bridge uninstall` removes the bridge, \
                 `multiclaude-hybrid shim uninstall` the shim."
            } else {
                ""
            };
            format!(
                "Left {repo}: {} deregistered, {} forgotten. multiclaude itself goes on as before.{rest}",
                counted(removed.len(), "agent"),
                counted(forgotten.len(), "token")
            ) + &changed.map(|changed| format!("\n{changed}")).unwrap_or_default()
        });
        Ok(())
    }

    /// Deregisters what this home has registered.
    async fn deregister(&self, session: &Session, repo: &Repo) -> Outcome<Vec<String>> {
        let at = session.in_repo(Some(repo.as_str()), Need::Use)?;
        let filter = AgentFilter { owner: Some(at.login.owner.clone()), ..AgentFilter::default() };
        let instance = Some(&session.settings.instance);
        let mut removed = Vec::new();
        for agent in at.client.agents(&filter).await? {
            if agent.instance.as_ref() == instance {
                at.client.deregister(&agent.name, Some(&agent.id)).await?;
                removed.push(agent.name.to_string());
            }
        }
        Ok(removed)
    }
}
