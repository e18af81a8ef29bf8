//! What the user's files say: `.claude.json`, `.claude/settings.json`, and the
//! project's `.mcp.json`.

use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn user_file(home: &Path) -> PathBuf {
    home.join(".claude.json")
}

/// Whether messages of other processes are taken without asking. Read again for
/// each message: the setting is live.
pub(crate) fn accepts_peers(home: &Path) -> bool {
    read(&home.join(".claude/settings.json"))["crossSessionInbound"] == "accept"
}

/// The directories whose trust covers this one: itself, its repository's root, and
/// the repository that it is a worktree of.
fn covering(home: &Path, cwd: &Path, parents: bool) -> Vec<PathBuf> {
    if parents {
        return cwd.ancestors().map(Path::to_owned).collect();
    }
    let mut paths = vec![cwd.to_owned()];
    if let Some(root) = cwd.ancestors().find(|path| path.join(".git").exists()) {
        paths.push(root.to_owned());
        let link = fs::read_to_string(root.join(".git")).unwrap_or_default();
        if let Some((main, _)) = link.trim().split_once("/.git/worktrees/") {
            paths.push(PathBuf::from(main.trim_start_matches("gitdir: ")));
        }
    }
    // Worktrees of multiclaude, also of the stand-in for it, which makes no git
    // worktrees.
    let multiclaude = home.join(".multiclaude");
    if let Ok(rest) = cwd.strip_prefix(multiclaude.join("wts")) {
        paths.extend(rest.iter().next().map(|repo| multiclaude.join("repos").join(repo)));
    }
    paths
}

/// Whether the folder is trusted; `parents` if trust in a parent is enough.
pub(crate) fn trusts(home: &Path, cwd: &Path, parents: bool) -> bool {
    let projects = &read(&user_file(home))["projects"];
    covering(home, cwd, parents)
        .iter()
        .any(|path| projects[path.to_string_lossy().as_ref()]["hasTrustDialogAccepted"] == true)
}

/// The human trusts the folder from now on.
pub(crate) fn trust(home: &Path, cwd: &Path) {
    let path = user_file(home);
    let mut settings = read(&path);
    if !settings.is_object() {
        settings = json!({});
    }
    settings["projects"][cwd.to_string_lossy().as_ref()]["hasTrustDialogAccepted"] = true.into();
    let _ = fs::write(path, settings.to_string());
}

/// The MCP servers at user scope, and those of the project if `project`.
pub(crate) fn servers(home: &Path, cwd: &Path, project: bool) -> Map<String, Value> {
    let mut servers = Map::new();
    let mut add = |value: &Value| servers.extend(value.as_object().cloned().unwrap_or_default());
    if project {
        add(&read(&cwd.join(".mcp.json"))["mcpServers"]);
    }
    let user = read(&user_file(home));
    add(&user["mcpServers"]);
    add(&user["projects"][cwd.to_string_lossy().as_ref()]["mcpServers"]);
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_covers_worktrees_and_parents_only_where_they_count() {
        let home = tempfile::tempdir().unwrap();
        let (home, at) = (home.path(), |path: &str| home.path().join(path));
        trust(home, &at(".multiclaude/repos/app"));
        assert!(trusts(home, &at(".multiclaude/wts/app/fox"), false));
        assert!(!trusts(home, &at(".multiclaude/wts/lib/fox"), false));
        let main = at("git/app");
        let worktree = at("elsewhere");
        fs::create_dir_all(worktree.join("deep")).unwrap();
        let link = format!("gitdir: {}/.git/worktrees/x\n", main.display());
        fs::write(worktree.join(".git"), link).unwrap();
        trust(home, &main);
        assert!(trusts(home, &worktree.join("deep"), false));
        trust(home, home);
        assert!(!trusts(home, &at("any"), false) && trusts(home, &at("any"), true));
    }
}
