//! Who speaks: the agent whose worktree a command runs in, or the person.

use crate::failure::{Failure, Outcome};
use crate::multiclaude::{Place, State};
use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::Sender;
use multiclaude_hybrid_client::protocol::spawn::SpawnedBy;
use multiclaude_hybrid_client::protocol::token::TokenKind;
use std::process::{Command, Stdio};

pub use multiclaude_hybrid_bridge::names::{BRIDGE, LOCAL_NAME, NODE};

/// Whose worktree a command runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Around {
    /// No agent's.
    Nobody,
    /// That of a local agent that is not registered, with its name here.
    Unregistered(String),
    /// The shared clone, in a window that names no agent.
    Unknown,
    /// That of the agent that is registered under this name.
    Agent(AgentName),
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

/// The local name of the agent whose worktree this is, or whose window in the
/// shared clone, if it is one of the repo's.
pub fn local_name(session: &Session, at: &InRepo) -> Outcome<Option<String>> {
    let Some((place, state)) = place(session, at)? else {
        return Ok(None);
    };
    let known = |window: &String| {
        state.repos.get(&place.repo).is_some_and(|repo| repo.agents.contains_key(window))
    };
    Ok(place.agent.clone().or_else(|| own_window().filter(known)))
}

/// The name of the tmux window that this runs in.
fn own_window() -> Option<String> {
    let pane = std::env::var_os("TMUX_PANE")?;
    let output = Command::new("tmux")
        .args(["display-message", "-p", "-t"])
        .arg(pane)
        .arg("#{window_name}")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok().map(|name| name.trim().to_owned())
}

/// The agent whose worktree this is.
pub async fn around(session: &Session, at: &InRepo) -> Outcome<Around> {
    let Some(local) = local_name(session, at)? else {
        let in_clone = place(session, at)?.is_some();
        return Ok(if in_clone { Around::Unknown } else { Around::Nobody });
    };
    let node = session.settings.node();
    let filter = AgentFilter { owner: Some(at.login.owner.clone()), ..AgentFilter::default() };
    let agents = at.client.agents(&filter).await?;
    let instance = session.settings.instance.as_str();
    // A label is only a word, and may be another one since: who registered it decides.
    let is_here = |agent: &Agent| match &agent.instance {
        Some(known) => known == instance,
        None => agent.metadata.get(NODE) == Some(&node),
    };
    let ours = |agent: &&Agent| is_here(agent) && agent.metadata.get(LOCAL_NAME) == Some(&local);
    let found = agents.iter().find(ours).map(|agent| agent.name.clone());
    Ok(found.map_or(Around::Unregistered(local), Around::Agent))
}

/// How `local` is registered.
pub fn registration(session: &Session, local: &str) -> String {
    let node = session.settings.node();
    format!("multiclaude-hybrid agents register {local}-{node} --type worker")
}

/// The agent of this worktree, for what it does; if it is not registered a word
/// about that.
async fn speaker(session: &Session, at: &InRepo) -> Outcome<Option<AgentName>> {
    Ok(match around(session, at).await? {
        Around::Agent(name) => Some(name),
        Around::Nobody | Around::Unknown => None,
        Around::Unregistered(local) => {
            session.out.warn(&format!(
                "{local} is not registered with the coordinator, so you speak and it cannot be \
                 answered. To register it, here: {}",
                registration(session, &local)
            ));
            None
        }
    })
}

/// Who sends: `given`, the agent of this worktree, or the person.
pub async fn find(session: &Session, at: &InRepo, given: Option<&str>) -> Outcome<Sender> {
    if let Some(text) = given {
        return Sender::parse(text).map_err(|error| Failure::usage(format!("--from: {error}")));
    }
    if around(session, at).await? == Around::Unknown {
        return Err(Failure::usage(
            "this is the clone that several agents share, and the window names none of them",
        )
        .hint(format!(
            "say who sends: --from NAME, or --from user:{} for yourself",
            at.login.owner
        )));
    }
    if let Some(name) = speaker(session, at).await? {
        return Ok(Sender::Agent(name));
    }
    match at.login.kind {
        TokenKind::User => Ok(Sender::User(at.login.owner.clone())),
        _ => {
            Err(Failure::usage(format!("{} tokens speak for agents only", at.login.kind.as_str()))
                .hint("say for which one: --from NAME; `multiclaude-hybrid agents` shows them"))
        }
    }
}

/// Who asks for a worker, and is told of its end: `given`, the agent of this
/// worktree, or the person's workspace.
pub async fn asker(
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
