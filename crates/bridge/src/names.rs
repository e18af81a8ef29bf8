//! Names across machines. Pure.

use crate::multiclaude::LocalAgent;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::metadata::Metadata;
use multiclaude_hybrid_client::protocol::{AgentName, Repo};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Metadata with the label of an agent's machine.
pub const NODE: &str = "node";
/// Metadata with an agent's name on its machine.
pub const LOCAL_NAME: &str = "local_name";
/// Metadata of an agent that a bridge delivers for.
pub const BRIDGE: &str = "bridge";
/// The sender of messages that never leave the machine.
pub const DAEMON: &str = "daemon";

/// The registered names of the agents of a home.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The registered name, by local name.
    pub names: BTreeMap<String, AgentName>,
    /// Agents that cannot be registered, and why.
    pub refused: BTreeMap<String, String>,
}

/// The registered name of a local agent: its own name if its type is served from here,
/// otherwise with the label of the machine.
///
/// # Errors
/// The reason why it cannot be registered.
pub fn registered_name(
    local: &str,
    kind: &str,
    node: &str,
    serve: &BTreeSet<String>,
) -> Result<AgentName, String> {
    let name = if serve.contains(kind) {
        local.to_owned()
    } else if kind == "workspace" && matches!(local, "default" | "workspace") {
        format!("workspace-{node}")
    } else {
        format!("{local}-{node}")
    };
    AgentName::parse(&name).map_err(|error| format!("the name {name:?} {error}"))
}

/// Plans the registered names of all agents of a repo.
pub fn plan<'a>(
    agents: impl IntoIterator<Item = (&'a String, &'a LocalAgent)>,
    node: &str,
    serve: &BTreeSet<String>,
) -> Plan {
    let mut plan = Plan::default();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for (local, agent) in agents {
        let refused = match registered_name(local, &agent.r#type, node, serve) {
            Ok(name) => match taken.get(&name.as_str().to_ascii_lowercase()) {
                None => {
                    taken.insert(name.as_str().to_ascii_lowercase(), local.clone());
                    plan.names.insert(local.clone(), name);
                    continue;
                }
                Some(other) => format!(
                    "{other} has the name {name} already (upper and lower case do not count)"
                ),
            },
            Err(reason) => reason,
        };
        plan.refused.insert(local.clone(), refused);
    }
    plan
}

/// The path for pushes to an agent, below the public URL.
pub fn hook_path(repo: &Repo, name: &AgentName) -> String {
    format!("/hook/{repo}/{name}")
}

/// The metadata of an agent of this machine.
pub fn metadata(local: &str, node: &str) -> Metadata {
    Metadata::from([
        (NODE.to_owned(), node.to_owned()),
        (LOCAL_NAME.to_owned(), local.to_owned()),
        (BRIDGE.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ])
}

/// An agent of another machine that has the label `node` already.
pub fn holder_of_label<'a>(agents: &'a [Agent], node: &str, instance: &str) -> Option<&'a Agent> {
    agents.iter().find(|agent| {
        agent.metadata.get(NODE).is_some_and(|label| label == node)
            && agent.instance.as_deref() != Some(instance)
    })
}

/// The local agent that wrote a message. In a worktree multiclaude writes the path, of which
/// the first part is the agent. In the shared clone it guesses; if a single agent works
/// there, an unknown name means that one.
pub fn sender<'a>(
    from: &'a str,
    agents: &'a BTreeMap<String, LocalAgent>,
    clone: &Path,
) -> &'a str {
    let first = from.split('/').next().unwrap_or(from);
    if agents.contains_key(first) || first == DAEMON {
        return first;
    }
    let mut residents = agents.iter().filter(|(_, agent)| Path::new(&agent.worktree_path) == clone);
    match (residents.next(), residents.next()) {
        // A worker that has ended wrote in its worktree, with its own name.
        (Some((only, _)), None) if AgentName::parse(first).is_err() => only,
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(kind: &str, path: &str) -> LocalAgent {
        LocalAgent {
            r#type: kind.to_owned(),
            worktree_path: path.to_owned(),
            ..LocalAgent::default()
        }
    }

    #[test]
    fn agents_have_the_label_in_their_names_unless_their_type_is_served_here() {
        let serve = BTreeSet::from(["merge-queue".to_owned()]);
        for (local, kind, name) in [
            ("supervisor", "supervisor", "supervisor-dan"),
            ("default", "workspace", "workspace-dan"),
            ("workspace", "workspace", "workspace-dan"),
            ("mine", "workspace", "mine-dan"),
            ("default", "worker", "default-dan"),
            ("clever-fox", "worker", "clever-fox-dan"),
            ("merge-queue", "merge-queue", "merge-queue"),
        ] {
            assert_eq!(registered_name(local, kind, "dan", &serve).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_that_cannot_be_registered_is_refused_with_the_reason_and_the_others_go_on() {
        let agents = BTreeMap::from([
            ("Fox".to_owned(), agent("worker", "")),
            ("fox".to_owned(), agent("worker", "")),
            ("a b".to_owned(), agent("worker", "")),
            ("default".to_owned(), agent("workspace", "")),
            ("workspace".to_owned(), agent("workspace", "")),
            ("x".repeat(61), agent("worker", "")),
        ]);
        let plan = plan(&agents, "dan", &BTreeSet::new());
        assert_eq!(plan.names.keys().collect::<Vec<_>>(), ["Fox", "default"]);
        assert_eq!(plan.refused.len(), 4);
        assert!(plan.refused["fox"].contains("Fox has the name"), "{:?}", plan.refused);
        assert!(plan.refused["a b"].contains("may hold only"), "{:?}", plan.refused);
    }

    #[test]
    fn a_sender_is_the_first_part_of_its_path_or_the_one_that_lives_in_the_clone() {
        let clone = Path::new("/m/repos/app");
        let mut agents = BTreeMap::from([
            ("fox".to_owned(), agent("worker", "/m/wts/app/fox")),
            ("supervisor".to_owned(), agent("supervisor", "/m/repos/app")),
        ]);
        for (from, who) in [
            ("fox", "fox"),
            ("fox/src/deep", "fox"),
            ("supervisor", "supervisor"),
            ("my window", "supervisor"),
            ("daemon", "daemon"),
            // A worker that has ended.
            ("wolf", "wolf"),
        ] {
            assert_eq!(sender(from, &agents, clone), who, "{from}");
        }
        agents.insert("merge-queue".to_owned(), agent("merge-queue", "/m/repos/app"));
        assert_eq!(sender("my window", &agents, clone), "my window");
    }
}
