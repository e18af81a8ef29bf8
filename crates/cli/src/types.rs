//! The types of agents that multiclaude has. Forks of it have others, so
//! `--allow-unknown-type` allows another one.

use crate::failure::{Failure, Outcome};
use multiclaude_hybrid_client::protocol::agent::{Agent, AgentStatus};

pub const KNOWN: [&str; 7] = [
    "supervisor",
    "worker",
    "merge-queue",
    "pr-shepherd",
    "workspace",
    "review",
    "generic-persistent",
];

/// The type of a merge-queue, and the name of the one that serves all machines of a repo. Two
/// of them would merge the same pull requests.
pub const MERGE_QUEUE: &str = "merge-queue";

/// The merge-queue that serves all machines.
pub fn serving_merge_queue(agents: &[Agent]) -> Option<&Agent> {
    agents.iter().find(|agent| {
        agent.name.as_str() == MERGE_QUEUE
            && agent.r#type == MERGE_QUEUE
            && agent.status != AgentStatus::Stopped
    })
}

pub fn is_known(kind: &str) -> bool {
    KNOWN.contains(&kind)
}

/// Refuses a type that multiclaude does not have; `allowed`: not even then.
pub fn check<'a>(flag: &str, kinds: impl IntoIterator<Item = &'a str>, allowed: bool) -> Outcome {
    let unknown = kinds.into_iter().find(|kind| !kind.is_empty() && !is_known(kind));
    let Some(kind) = unknown.filter(|_| !allowed) else {
        return Ok(());
    };
    let suggestion = match nearest(kind) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("the types are {}.", KNOWN.join(", ")),
    };
    Err(Failure::usage(format!("{flag}: multiclaude has no agents of type {kind:?}"))
        .hint(format!("{suggestion} To allow another type: --allow-unknown-type")))
}

fn nearest(kind: &str) -> Option<&'static str> {
    let kind = kind.trim().to_lowercase().replace(['_', ' '], "-");
    let far = |known: &&str| strsim::damerau_levenshtein(&kind, known);
    let near = KNOWN.into_iter().min_by_key(far)?;
    // A third of it may be wrong.
    (far(&near) * 3 <= near.len().max(kind.len())).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_type_is_refused_with_a_suggestion() {
        for (typed, suggestion) in [
            ("mergequeue", "merge-queue"),
            ("merge_queue", "merge-queue"),
            ("Merge-Queue", "merge-queue"),
            ("merge-queu", "merge-queue"),
            ("emrge-queue", "merge-queue"),
            ("workers", "worker"),
            ("Worker", "worker"),
            ("wroker", "worker"),
            ("supervizor", "supervisor"),
            ("workspaces", "workspace"),
            ("reviewer", "review"),
            ("pr_shepherd", "pr-shepherd"),
            (" worker", "worker"),
        ] {
            let refused = check("--type", [typed], false).unwrap_err();
            let hint = refused.hint.unwrap();
            assert!(hint.contains(&format!("did you mean {suggestion}?")), "{typed}: {hint}");
            assert!(check("--type", [typed], true).is_ok(), "{typed}");
        }
        let refused = check("--type", ["worker", "janitor"], false).unwrap_err();
        assert!(refused.hint.unwrap().contains("generic-persistent"));
        assert!(check("--type", KNOWN, false).is_ok());
    }
}
