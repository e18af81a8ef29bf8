//! The sender of a command: the agent whose worktree it runs in, or the person.

use crate::failure::{Failure, Outcome};
use crate::multiclaude::{Place, State, Window};
use crate::output::line;
use crate::session::{InRepo, Session};
use crate::types;
use multiclaude_hybrid_bridge::names::registered_name;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::Sender;
use multiclaude_hybrid_client::protocol::spawn::SpawnedBy;
use multiclaude_hybrid_client::protocol::token::TokenKind;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

pub use multiclaude_hybrid_bridge::names::{BRIDGE, LOCAL_NAME, NODE};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub name: String,
    /// `worker`, `workspace`, …; empty if the state does not have it.
    pub kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentHere {
    None,
    Unregistered(Local),
    /// The agent that is registered under this name.
    Registered(AgentName),
}

/// One of multiclaude's places, if it is of this repo.
fn place(session: &Session, at: &InRepo) -> Outcome<Option<(Place, State)>> {
    let state = session.state()?;
    let place = session.place().filter(|place| {
        // However many clones of the repo there are.
        session.nicknamed(&place.repo, &state).ok().as_ref() == Some(&at.repo)
    });
    Ok(place.map(|place| (place, state)))
}

/// The place of a command, before the coordinator is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Here {
    /// In no directory of an agent of the repo.
    Elsewhere,
    /// In the shared clone, in a window that names no agent.
    SharedClone,
    /// In the worktree of an agent, or in its window in the shared clone.
    With(Local),
}

/// The agent of this directory: a worktree's path names it; in the shared clone the tmux
/// window does, or it is the only agent that lives there.
pub fn here(session: &Session, at: &InRepo) -> Outcome<Here> {
    let Some((place, state)) = place(session, at)? else {
        return Ok(Here::Elsewhere);
    };
    let clone = session.home.multiclaude().clone_of(&place.repo);
    let local = state.repos.get(&place.repo);
    let in_clone = || {
        let local = local?;
        let window = own_window().and_then(|window| local.in_window(&window));
        window.or_else(|| local.only_resident(&clone)).map(str::to_owned)
    };
    let name = place.agent.or_else(in_clone);
    // A clone without agents is a person's.
    let shared = local.is_none_or(|local| !local.agents.is_empty());
    let unnamed = if shared { Here::SharedClone } else { Here::Elsewhere };
    Ok(name.map_or(unnamed, |name| {
        let agent = local.and_then(|local| local.agents.get(&name));
        let kind = agent.map_or(String::new(), |agent| agent.r#type.clone());
        Here::With(Local { name, kind })
    }))
}

fn own_window() -> Option<Window> {
    let pane = std::env::var_os("TMUX_PANE")?;
    let output = Command::new("tmux")
        .args(["display-message", "-p", "-t"])
        .arg(pane)
        .arg("#{session_name}\t#{window_name}")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (session, window) = text.trim_end_matches('\n').split_once('\t')?;
    Some(Window { session: session.to_owned(), window: window.to_owned() })
}

/// The agent whose worktree this is. The `hint` is for the shared clone, in a window that
/// names no agent.
pub async fn agent_here(session: &Session, at: &InRepo, hint: &str) -> Outcome<AgentHere> {
    let local = match here(session, at)? {
        Here::Elsewhere => return Ok(AgentHere::None),
        Here::SharedClone => {
            return Err(Failure::usage(
                "several agents share this clone, and the tmux window of this command is the window of \
                 none of them",
            )
            .hint(hint));
        }
        Here::With(local) => local,
    };
    let node = session.settings.node();
    let agents = at.agents_of_owner().await?;
    // An agent without an instance has only its label, which may have changed since.
    let is_here = |agent: &Agent| match &agent.instance {
        Some(_) => session.settings.has_registered(agent),
        None => agent.metadata.get(NODE) == Some(&node),
    };
    let ours =
        |agent: &&Agent| is_here(agent) && agent.metadata.get(LOCAL_NAME) == Some(&local.name);
    let found = agents.iter().find(ours).map(|agent| agent.name.clone());
    Ok(found.map_or(AgentHere::Unregistered(local), AgentHere::Registered))
}

/// How a local agent is registered: under the name that a bridge gives it.
pub fn registration(session: &Session, local: &Local) -> String {
    let kind = if local.kind.is_empty() { "worker" } else { local.kind.as_str() };
    let name = registered_name(&local.name, kind, &session.settings.node(), &BTreeSet::new());
    let name = name.map_or_else(|_| "NAME".to_owned(), |name| name.to_string());
    let unknown = if types::is_known(kind) { "" } else { " --allow-unknown-type" };
    format!("multiclaude-hybrid agents register {name} --type {}{unknown}", quoted(kind))
}

/// A word as a shell reads it.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", line(text, 40).replace('\'', "'\\''"))
    }
}

/// The agent of this worktree, for what it does; a warning if it is not registered.
async fn speaker(session: &Session, at: &InRepo) -> Outcome<Option<AgentName>> {
    let hint =
        format!("name the sender: --from NAME, or --from user:{} for yourself", at.login.owner);
    match agent_here(session, at, &hint).await? {
        AgentHere::Registered(name) => Ok(Some(name)),
        AgentHere::None => Ok(None),
        AgentHere::Unregistered(local) => {
            let name = &local.name;
            session.out.warn_with(
                &format!(
                    "{name}, whose directory this is, is not registered with the coordinator: this goes \
                     out in your name, and no answer reaches {name}"
                ),
                &format!("register it, here: {}", registration(session, &local)),
            );
            Ok(None)
        }
    }
}

/// Is it the agent of another owner, whom this token may act for?
pub fn is_of_another_owner(at: &InRepo, agent: &Agent) -> bool {
    agent.owner != at.login.owner && at.login.kind != TokenKind::User
}

/// Refuses the agent of another owner. `command` is the one that acts for it with
/// `--as-agent`.
pub fn check_owner(at: &InRepo, agent: &Agent, doing: &str, command: &str) -> Outcome {
    if !is_of_another_owner(at, agent) {
        return Ok(());
    }
    let (name, owner) = (&agent.name, &agent.owner);
    Err(Failure::usage(format!("{name} is an agent of {owner}, not one of yours")).hint(format!(
        "to {doing} as that agent: multiclaude-hybrid {command} --as-agent --repo {}",
        at.repo
    )))
}

/// The same for a name. An agent that is gone is left to the request itself.
pub async fn check_agent(at: &InRepo, name: &AgentName, doing: &str, command: &str) -> Outcome {
    if at.login.kind == TokenKind::User {
        return Ok(());
    }
    match at.client.agent(name).await {
        Ok(agent) => check_owner(at, &agent, doing, command),
        Err(error) if error.status() == Some(404) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The sender: `given`, the agent of this worktree, or the person.
pub async fn find(session: &Session, at: &InRepo, given: Option<&str>) -> Outcome<Sender> {
    if let Some(text) = given {
        return Sender::parse(text).map_err(|error| Failure::usage(format!("--from: {error}")));
    }
    if let Some(name) = speaker(session, at).await? {
        return Ok(Sender::Agent(name));
    }
    match at.login.kind {
        TokenKind::User => Ok(Sender::User(at.login.owner.clone())),
        _ => {
            Err(Failure::usage(format!("{} tokens speak for agents only", at.login.kind.as_str()))
                .hint("name one of them: --from NAME; `multiclaude-hybrid agents` shows them"))
        }
    }
}

/// The requester of a worker, which is notified of its end: `given`, the agent of this
/// worktree, or the person's workspace.
pub async fn requester(
    session: &Session,
    at: &InRepo,
    given: Option<&str>,
) -> Outcome<Option<SpawnedBy>> {
    if let Some(text) = given {
        let by = SpawnedBy::parse(text);
        return by.map(Some).map_err(|error| Failure::usage(format!("--from: {error}")));
    }
    if let Some(name) = speaker(session, at).await? {
        return Ok(Some(SpawnedBy::Agent(name)));
    }
    let workspace = || SpawnedBy::Role("workspace".to_owned(), at.login.owner.clone());
    Ok((at.login.kind == TokenKind::User).then(workspace))
}
