//! The branches that a request names.

use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;
use multiclaude_hybrid_client::protocol::text::is_hidden;

/// The branches in a request's metadata: the one to start from, and the one to push to.
pub(super) fn branches(request: &SpawnRequest) -> Result<(Option<&str>, Option<&str>), String> {
    let branch = |key: &str| match request.metadata.get(key).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(name) if is_branch(name) => Ok(Some(name)),
        Some(name) => Err(format!("{key}: {name:?} is not the name of a branch")),
    };
    Ok((branch("branch")?, branch("push_to")?))
}

/// Does git accept this name as a branch, and as nothing else?
fn is_branch(name: &str) -> bool {
    let bad =
        |c: char| is_hidden(c) || c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    name.len() <= 200
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains(bad)
        && !["..", "//", "@{", "/."].iter().any(|part| name.contains(part))
        && !name.split('/').any(|part| part.to_ascii_lowercase().ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_another_meaning_for_git_are_not_branches() {
        for good in ["main", "work/fox", "fix-1.2", "a/b_c", "müller"] {
            assert!(is_branch(good), "{good}");
        }
        for bad in
            ["-f", "--upload-pack=x", "a..b", "a b", "a\n", "x~1", "refs:x", "/a", "a/", "a.lock"]
        {
            assert!(!is_branch(bad), "{bad}");
        }
    }
}
