//! `config --node`: the agents of this machine under its new label.

use crate::bridge;
use crate::commands::list::EXTRA_OUTPUT_TIMEOUT;
use crate::failure::Outcome;
use crate::sender::{BRIDGE, NODE};
use crate::session::{Need, Session};
use futures_util::future::join_all;
use multiclaude_hybrid_client::protocol::agent::{Agent, AgentUpdate};
use multiclaude_hybrid_client::protocol::{AgentName, Repo};

/// Gives the agents that `agents register` made here the new label, in every repo, and
/// says what happens. The label is changed already, so nothing here fails.
pub(super) async fn relabel(session: &mut Session) {
    let timeout = session.timeout;
    session.timeout = timeout.min(EXTRA_OUTPUT_TIMEOUT);
    relabel_all(session).await;
    session.timeout = timeout;
}

async fn relabel_all(session: &Session) {
    let node = session.settings.node();
    // Without a token this machine has no agents in a repo.
    let repos = session.settings.known_repos();
    let repos: Vec<_> = repos.filter(|repo| session.part_in(repo).is_some()).collect();
    for (repo, done) in join_all(repos.iter().map(|repo| in_repo(session, repo, &node))).await {
        match done {
            Ok(names) if names.is_empty() => {}
            Ok(names) => {
                let names: Vec<_> = names.iter().map(AgentName::as_str).collect();
                session.out.note(&format!(
                    "Agents in {repo} that keep their names and have the label {node} now: {}",
                    names.join(", ")
                ));
            }
            Err(failure) => session.out.warn(&format!(
                "agents of this machine in {repo} are still shown with the old label: {}",
                failure.one_line()
            )),
        }
    }
    if bridge::running(session).is_ok_and(|status| status.is_some()) {
        session.out.note(
            "The bridge gives its agents new names. Mail that waits for the old names goes back to \
             its senders.",
        );
    }
}

/// The agents of a repo that have got the new label.
async fn in_repo<'a>(
    session: &Session,
    repo: &'a Repo,
    node: &str,
) -> (&'a Repo, Outcome<Vec<AgentName>>) {
    let done = async {
        let at = session.in_repo(Some(repo.as_str()), Need::Use)?;
        let mut names = Vec::new();
        for agent in at.agents_of_owner().await? {
            if !is_ours(session, &agent) || agent.metadata.get(NODE).is_none_or(|old| old == node) {
                continue;
            }
            let mut metadata = agent.metadata.clone();
            metadata.insert(NODE.to_owned(), node.to_owned());
            let change = AgentUpdate { metadata: Some(metadata), ..AgentUpdate::default() };
            at.client.update(&agent.name, Some(&agent.id), &change).await?;
            names.push(agent.name);
        }
        Ok(names)
    };
    (repo, done.await)
}

/// Did `agents register` make it here? A bridge renames its agents itself.
fn is_ours(session: &Session, agent: &Agent) -> bool {
    session.settings.has_registered(agent) && !agent.metadata.contains_key(BRIDGE)
}
