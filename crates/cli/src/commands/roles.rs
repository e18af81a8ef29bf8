//! `stand-down`, `stand-up`: a role of this machine that another one serves.

use crate::bridge;
use crate::completion;
use crate::failure::{Exit, Failure, Outcome};
use crate::multiclaude::LocalRepo;
use crate::options::RepoArg;
use crate::session::{Need, Session};
use clap::Args;
use multiclaude_hybrid_bridge::multiclaude::{Daemon, Paths};
use multiclaude_hybrid_bridge::roles::{RoleError, Roles};
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::agent::Agent;
use serde_json::json;

/// A role of this machine.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// The role: merge-queue, supervisor, …
    #[arg(add = completion::types())]
    role: String,
    #[command(flatten)]
    repo: RepoArg,
}

/// A repo of multiclaude's, and what is needed to change its roles.
struct Here {
    repo: Repo,
    nickname: String,
    paths: Paths,
    daemon: Daemon,
    dirs: multiclaude_hybrid_bridge::dirs::Dirs,
}

impl Here {
    fn of(session: &Session, given: Option<&str>) -> Outcome<Self> {
        let (repo, nickname) = session.resolve(given)?;
        let nickname = nickname.ok_or_else(|| {
            Failure::new(format!("multiclaude has no clone of {repo} on this machine"))
                .exit(Exit::NotFound)
                .hint("`multiclaude list` shows the repos that it has")
        })?;
        if !session.settings.repo(&repo).enabled {
            return Err(Failure::usage(format!("hybrid mode is off for {repo}"))
                .hint(format!("turn it on: multiclaude-hybrid config {nickname} --hybrid=true")));
        }
        let paths = session.home.multiclaude();
        let daemon = Daemon::new(paths.socket());
        Ok(Self { repo, nickname, paths, daemon, dirs: session.home.bridge() })
    }

    fn roles(&self) -> Roles<'_> {
        Roles::new(&self.paths, &self.daemon, &self.nickname, &self.dirs.repo(&self.repo))
    }

    fn local(&self, session: &Session) -> Outcome<LocalRepo> {
        let repo = session.state()?.repos.get(&self.nickname).cloned();
        repo.ok_or_else(|| {
            Failure::new(format!("multiclaude's state has no repo {}", self.nickname))
        })
    }
}

fn explained(error: RoleError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        RoleError::Daemon(_) => {
            failure.hint("start multiclaude (multiclaude start), then run this again")
        }
        _ => failure.hint("run this again; it continues where it stopped"),
    }
}

/// The agent on another machine that serves a role for the whole team.
pub(crate) async fn server(session: &Session, repo: &Repo, role: &str) -> Outcome<Option<Agent>> {
    let at = session.in_repo(Some(repo.as_str()), Need::Use)?;
    let filter = AgentFilter { r#type: Some(role.to_owned()), ..AgentFilter::default() };
    let agents = at.client.agents(&filter).await?;
    let serves =
        |agent: &Agent| agent.name.as_str() == role && !session.settings.has_registered(agent);
    Ok(agents.into_iter().find(serves))
}

impl RoleArgs {
    pub async fn stand_down(&self, session: &mut Session) -> Outcome {
        let here = Here::of(session, self.repo.given())?;
        let notes = stand_down(session, &here, &self.role).await?;
        let value =
            json!({ "repo": here.repo, "role": self.role, "stands_down": true, "notes": notes });
        session.out.show(&value, || notes.join("\n"))
    }
}

/// Retires a role; returns notes for the user.
async fn stand_down(session: &mut Session, here: &Here, role: &str) -> Outcome<Vec<String>> {
    let local = here.local(session)?;
    let already = session.settings.repo(&here.repo).stood_down.contains(role);
    if !local.agents.contains_key(role) && !already {
        let names: Vec<_> = local.agents.keys().map(String::as_str).collect();
        return Err(Failure::new(format!("no agent called {role} runs here"))
            .exit(Exit::NotFound)
            .hint(format!("agents that run here: {}", names.join(", "))));
    }
    let served = server(session, &here.repo, role).await;
    session.change(|settings| {
        let repo = settings.repos.entry(here.repo.to_string()).or_default();
        repo.stood_down.insert(role.to_owned());
    })?;
    here.roles().retire(&local, role).await.map_err(explained)?;
    if here.local(session)?.agents.contains_key(role) {
        return Err(Failure::new(format!("multiclaude still has {role}")).hint("run this again"));
    }
    let back = format!("multiclaude-hybrid stand-up {role} --repo {}", here.nickname);
    let mut notes = vec![match served {
        Ok(Some(agent)) => format!(
            "{role} stands down here; {} serves it ({}).",
            agent.owner,
            agent.status.as_str()
        ),
        Ok(None) => format!(
            "{role} stands down here, and NO machine serves it now. To bring it back: {back}"
        ),
        Err(failure) => {
            format!(
                "{role} stands down here. The machine that serves it is not known: {}",
                failure.message
            )
        }
    }];
    if bridge::running(session)?.is_none() {
        notes.push(format!(
            "No bridge runs here, so `multiclaude message send {role}` reaches no agent: start it with \
             multiclaude-hybrid bridge run, or install it with multiclaude-hybrid bridge install."
        ));
    }
    Ok(notes)
}

/// Retires roles where that was agreed to, in `join`.
pub(crate) async fn stand_down_all(
    session: &mut Session,
    repo: &Repo,
    roles: &[String],
) -> Outcome<Vec<String>> {
    let mut notes = Vec::new();
    for role in roles {
        let here = Here::of(session, Some(repo.as_str()))?;
        notes.extend(stand_down(session, &here, role).await?);
    }
    Ok(notes)
}

impl RoleArgs {
    pub async fn stand_up(&self, session: &mut Session) -> Outcome {
        let here = Here::of(session, self.repo.given())?;
        let local = here.local(session)?;
        let role = &self.role;
        let stands_down = session.settings.repo(&here.repo).stood_down.contains(role);
        if !stands_down && !here.roles().has_retired(role) {
            return Err(Failure::new(format!("{role} does not stand down here"))
                .exit(Exit::NotFound)
                .hint("`multiclaude-hybrid bridge status` shows the roles that do"));
        }
        // First, so that the bridge does not retire it again.
        session.change(|settings| {
            if let Some(repo) = settings.repos.get_mut(here.repo.as_str()) {
                repo.stood_down.remove(role);
            }
        })?;
        here.roles().bring_back(&local, role).await.map_err(explained)?;
        let served = server(session, &here.repo, role).await.ok().flatten();
        let value = json!({ "repo": here.repo, "role": role, "stands_down": false });
        session.out.show(&value, || match served {
            Some(agent) => format!(
                "{role} is back. {} serves it too: if both run, both act, for example merge the same pull \
                 requests.",
                agent.owner
            ),
            None => format!("{role} is back."),
        })
    }
}
