//! Claude Code: does it start our MCP server, and do agents' sessions have it?

use super::check::{Check, State};
use crate::bridge;
use crate::claude_code::{self, Entry, SERVER, is_right};
use crate::session::Session;
use multiclaude_hybrid_bridge::status::Status;
use serde_json::Value;
use std::fs;

pub(super) fn claude(session: &Session) -> Vec<Check> {
    let installed = server(session);
    let is_there = installed.state == State::Good;
    let mut checks = vec![installed];
    if is_there {
        checks.extend(sessions(session));
    }
    checks.extend(trust(session));
    checks
}

fn server(session: &Session) -> Check {
    let what = "Claude Code's MCP server";
    let install = "multiclaude-hybrid mcp install";
    let program = match claude_code::entry(&session.home) {
        Err(failure) => return Check::failed(what, failure),
        Ok(Entry::None) => {
            return Check::warning(
                what,
                "it is not installed: messages are typed into sessions, where that is safe, and agents have no tools",
            )
            .hint(install);
        }
        Ok(Entry::Foreign(other)) => {
            return Check::warning(what, format!("another server has its name: {other}"))
                .hint(format!("claude mcp remove --scope user {SERVER}; then: {install}"));
        }
        Ok(Entry::Ours { command, args }) if !is_right(&args) => {
            let line = format!("{} {}", command.display(), args.join(" "));
            return Check::fault(what, format!("it is started as: {}", line.trim_end()))
                .hint(install);
        }
        Ok(Entry::Ours { command, .. }) => command,
    };
    if program.exists() {
        return Check::good(what, program.display().to_string());
    }
    Check::fault(what, format!("{} no longer exists", program.display())).hint(install)
}

/// The running sessions that have no MCP server of ours.
fn sessions(session: &Session) -> Option<Check> {
    let what = "agents' sessions";
    let status = bridge::running(session).ok()??;
    let agents = || status.repos.iter().flat_map(|repo| &repo.agents);
    let running = || agents().filter(|agent| agent.status != "stopped");
    let without: Vec<_> =
        running().filter(|agent| !agent.channel).map(|agent| agent.local.as_str()).collect();
    Some(match without.first() {
        None if running().count() == 0 => Check::good(what, "none runs"),
        None => {
            Check::good(what, format!("{} of them, all with the MCP server", running().count()))
        }
        Some(first) => Check::warning(
            what,
            format!(
                "started without the MCP server, or with a Claude Code older than 2.1.224: {}",
                without.join(", ")
            ),
        )
        .hint(how_to_restart(session, &status, first)),
    })
}

/// How to restart the session of a local agent. multiclaude's `agent restart` starts a
/// new session under an id that Claude Code knows already, and fails.
fn how_to_restart(session: &Session, status: &Status, local: &str) -> String {
    let id = session.state().ok().and_then(|state| {
        let mut repos = status.repos.iter().filter_map(|repo| state.repos.get(&repo.nickname));
        Some(repos.find_map(|repo| repo.agents.get(local))?.session_id.clone())
    });
    format!(
        "in the window of {local}, leave Claude Code with /exit, then: claude --resume {} \
         --dangerously-skip-permissions --append-system-prompt-file ~/.multiclaude/prompts/{local}.md",
        id.as_deref().unwrap_or("<session_id>")
    )
}

/// In a folder that is not trusted a dialog comes first, and everything waits.
fn trust(session: &Session) -> Option<Check> {
    let what = "Claude Code's trust";
    let text = fs::read_to_string(session.home.claude_code()).unwrap_or_default();
    let settings: Value = serde_json::from_str(&text).unwrap_or_default();
    let projects = settings.get("projects");
    let trusts = |dir: &str| {
        let project = projects.and_then(|all| all.get(dir));
        let accepted = project.and_then(|project| project.get("hasTrustDialogAccepted"));
        accepted == Some(&Value::Bool(true))
    };
    let state = session.state().ok()?;
    let clones = state.repos.keys().map(|name| session.home.multiclaude().clone_of(name));
    let there = clones.filter(|clone| clone.exists()).map(|clone| clone.display().to_string());
    let untrusted: Vec<_> = there.filter(|clone| !trusts(clone)).collect();
    let hint = format!("open it there once, and answer: cd {} && claude", untrusted.first()?);
    let found = format!("a dialog comes first in {}", untrusted.join(", "));
    Some(Check::warning(what, found).hint(hint))
}
