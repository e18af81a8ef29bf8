//! Which of multiclaude's directories a command runs in.

use crate::home::Home;
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub repo: String,
    /// The agent, in its worktree.
    pub agent: Option<String>,
}

/// The place of the working directory, if it is in one of multiclaude's: the first
/// part of the path below `wts/<repo>` is the agent.
pub fn here(home: &Home) -> Option<Place> {
    let root = home.multiclaude().root().canonicalize().ok()?;
    let current = std::env::current_dir().ok()?.canonicalize().ok()?;
    place_of(&root, &current)
}

fn place_of(root: &Path, dir: &Path) -> Option<Place> {
    let mut parts =
        dir.strip_prefix(root).ok()?.iter().map(|part| part.to_str().map(str::to_owned));
    let kind = parts.next()??;
    let repo = parts.next()??;
    match kind.as_str() {
        "wts" => Some(Place { repo, agent: parts.next().flatten() }),
        "repos" => Some(Place { repo, agent: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_names_its_agent_and_a_clone_does_not() {
        let root = Path::new("/home/dan/.multiclaude");
        let at = |path: &str| place_of(root, &root.join(path));
        let place = |repo: &str, agent: Option<&str>| {
            Some(Place { repo: repo.to_owned(), agent: agent.map(str::to_owned) })
        };
        assert_eq!(at("wts/app/clever-fox"), place("app", Some("clever-fox")));
        assert_eq!(at("wts/app/clever-fox/sub/dir"), place("app", Some("clever-fox")));
        assert_eq!(at("wts/app"), place("app", None));
        assert_eq!(at("repos/app/src"), place("app", None));
        assert_eq!(at("messages/app"), None);
        assert_eq!(at("wts"), None);
        assert_eq!(place_of(root, Path::new("/home/dan")), None);
    }
}
