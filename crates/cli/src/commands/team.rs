//! `invite`, `join`, `leave`: a second machine in one line.

use super::bridge::{self, RunArgs};
use super::login::{ask_secret, keep};
use super::roles::stand_down_all;
use crate::commands::mcp;
use crate::crypt;
use crate::doctor;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{counted, now};
use crate::sender::NODE;
use crate::session::{Need, Session};
use crate::settings::{Login, check_label};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use multiclaude_hybrid_bridge::dirs::Dirs;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::token::{NewToken, Scope, TokenKind};
use multiclaude_hybrid_client::protocol::{Owner, Repo, Timestamp};
use multiclaude_hybrid_client::{AgentFilter, BaseUrl, RepoClient};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What an invitation begins with, so that it is recognised wherever it lies.
const PREFIX: &str = "mchi_";

/// Prints one line that lets another machine join.
///
/// The line holds a new user token: whoever has it can read that user's mail.
/// Give it to `join` on the other machine's standard input:
/// `multiclaude-hybrid invite ann | ssh box multiclaude-hybrid join`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// Whose machine it is: the owner of the agents there
    #[arg(value_parser = super::tokens::owner)]
    name: Owner,
    /// The repo: multiclaude's name for it, or owner/repo
    #[arg(long, short, value_name = "REPO")]
    repo: Option<String>,
    /// How long the token is valid: 90d, 12h [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = super::tokens::duration)]
    expires: Option<i64>,
}

/// Joins a team with an invitation, which is read from standard input.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct JoinArgs {
    /// The label of this machine in agents' names [default: from the host's name]
    #[arg(long, value_name = "LABEL", value_parser = check_label)]
    node: Option<String>,
    /// Allow plain http to another machine; the token can be read on the way
    #[arg(long)]
    allow_http: bool,
    /// Keep the token in the file even where there is a keychain
    #[arg(long)]
    no_keychain: bool,
    /// Do not install the bridge; you run it yourself
    #[arg(long)]
    no_bridge: bool,
    /// Let Claude Code start our MCP server in every session of yours, without asking
    #[arg(long)]
    mcp: bool,
    /// Retire the local agent of this role, which another machine serves
    #[arg(long, value_name = "ROLE")]
    stand_down: Vec<String>,
}

/// Turns hybrid mode off for a repo and forgets what this machine knows of it.
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// The repo: multiclaude's name for it, or owner/repo [default: this directory's]
    repo: Option<String>,
    /// Forget it here even if its agents cannot be deregistered now
    #[arg(long)]
    force: bool,
}

/// What an invitation says.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    url: String,
    repo: Repo,
    token: String,
}

impl Invitation {
    fn line(&self) -> Outcome<String> {
        let text = serde_json::to_vec(self)
            .map_err(|_| Failure::new("the invitation cannot be written"))?;
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(text)))
    }

    /// Finds one in whatever was pasted with it.
    fn find(text: &str) -> Outcome<Self> {
        let wrong = |why: &str| {
            Failure::usage(format!("standard input holds no whole invitation: {why}")).hint(
                "have one made: multiclaude-hybrid invite NAME; and paste the whole line that begins \
                 with mchi_",
            )
        };
        let at = text.find(PREFIX).ok_or_else(|| wrong("nothing begins with mchi_"))?;
        let rest = text.get(at + PREFIX.len()..).unwrap_or_default();
        let code: String = rest
            .chars()
            .take_while(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_'))
            .collect();
        let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| wrong("it is cut short"))?;
        serde_json::from_slice(&bytes).map_err(|_| wrong("it is cut short"))
    }
}

impl InviteArgs {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> Outcome {
        let (repo, _) = session.resolve(self.repo.as_deref())?;
        let login = session.login(Some(&repo), Need::Manage)?;
        let client = session.client(login)?;
        let made = client
            .create_token(&NewToken {
                kind: TokenKind::User,
                owner: self.name.clone(),
                repos: vec![Scope::Repo(repo.clone())],
                description: Some(format!("invited by {}", login.owner)),
                expires_at: self.expires.map(|ms| Timestamp(now().0 + ms)),
            })
            .await
            .map_err(|error| {
                session.explain(error.into(), login).instead(
                    Exit::Forbidden,
                    "inviting takes a service or an admin token: ask whoever runs the coordinator",
                )
            })?;
        let invitation = Invitation {
            url: login.url.clone(),
            repo: repo.clone(),
            token: made.token.unwrap_or_default(),
        };
        let line = invitation.line()?;
        session.out.note(&format!(
            "An invitation for {} to {repo}. On the other machine: multiclaude-hybrid join, and paste \
             this line.\nIt is as secret as a password; to take it back: multiclaude-hybrid tokens \
             revoke {}",
            self.name, made.id
        ));
        let value =
            json!({ "invitation": line, "token_id": made.id, "owner": self.name, "repo": repo });
        session.out.show(&value, || line.clone());
        Ok(())
    }
}

impl JoinArgs {
    /// Runs it.
    pub async fn run(&self, session: &mut Session) -> Outcome {
        let invitation = Invitation::find(&ask_secret("Invitation: ")?)?;
        let base = BaseUrl::parse(&invitation.url, self.allow_http)
            .map_err(|error| Failure::usage(format!("the invitation: {error}")))?;
        let client = session.client_with(base.as_str(), self.allow_http, &invitation.token)?;
        let repo = client.repo(&invitation.repo);
        let node = self.node.clone().unwrap_or_else(|| session.settings.node());
        free_label(session, &repo, &node).await?;
        let keychain = !self.no_keychain;
        let (login, _) = keep(session, &base, self.allow_http, keychain, &invitation.token).await?;
        session.change(|settings| {
            let here = settings.repos.entry(invitation.repo.to_string()).or_default();
            here.enabled = true;
            here.api_endpoint = Some(base.to_string());
            settings.node = Some(node.clone());
        })?;
        let mut steps = self.bridge(session);
        steps.push(mcp::added(session, self.mcp));
        steps.extend(stand_down_all(session, &invitation.repo, &self.stand_down).await?);
        let checks = doctor::all(session, Some(&invitation.repo)).await;
        let value = json!({
            "repo": invitation.repo, "url": login.url, "owner": login.owner, "node": node,
            "token_id": login.token_id, "place": login.place, "steps": steps, "doctor": checks,
        });
        session.out.show(&value, || {
            let place = session.secrets().told(login.place);
            format!(
                "Joined {} as {}, this machine is {node}.\nThe token is in {place}.\n{}\n\n{}",
                invitation.repo,
                login.owner,
                steps.join("\n"),
                doctor::told(&checks)
            )
        });
        Ok(())
    }
}

impl JoinArgs {
    /// Installs the bridge, if that is wanted and possible; what to tell the user.
    fn bridge(&self, session: &Session) -> Vec<String> {
        let by_hand = "Messages come and go while a bridge runs: multiclaude-hybrid bridge run";
        if Dirs::of_home(session.home.user()).is_running() {
            return vec!["The bridge that runs here serves this repo now.".to_owned()];
        }
        if self.no_bridge {
            return vec![by_hand.to_owned()];
        }
        match bridge::install(session, &RunArgs::default().words(), false) {
            Ok(steps) => steps,
            Err(failure) => vec![
                format!("The bridge was not installed: {}", failure.message),
                by_hand.to_owned(),
            ],
        }
    }
}

/// A label belongs to one machine in a repo.
async fn free_label(session: &Session, repo: &RepoClient, node: &str) -> Outcome {
    let agents = repo.agents(&AgentFilter::default()).await?;
    let instance = Some(&session.settings.instance);
    let other = |agent: &&Agent| {
        agent.metadata.get(NODE).is_some_and(|label| label == node)
            && agent.instance.as_ref() != instance
    };
    match agents.iter().find(other) {
        None => Ok(()),
        Some(agent) => Err(Failure::new(format!(
            "another machine is called {node} already: {} of {} is there",
            agent.name, agent.owner
        ))
        .exit(Exit::Conflict)
        .hint("choose another label: multiclaude-hybrid join --node LABEL (the invitation is still good)")),
    }
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
            .filter(|login| url.as_ref().is_none_or(|url| *url == login.url))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_found_in_whatever_was_pasted_with_it() {
        let invitation = Invitation {
            url: "https://api.example.com/v1".to_owned(),
            repo: Repo::parse("acme/app").unwrap(),
            token: "mcu_x".to_owned(),
        };
        let line = invitation.line().unwrap();
        for text in [line.clone(), format!("  \"{line}\"\n"), format!("join with: {line} .\nbye")] {
            assert_eq!(Invitation::find(&text).unwrap().token, "mcu_x");
        }
        let short = line.get(..line.len() - 3).unwrap();
        for text in ["", "hello", "mchi_", short] {
            let refused = Invitation::find(text).unwrap_err();
            assert!(refused.message.contains("no whole invitation"), "{text}");
        }
    }
}
