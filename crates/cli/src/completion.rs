//! Completion of names and types of agents, beyond the command line itself.
//!
//! The shell's script calls this program with `COMPLETE` set and the unfinished line; the
//! names are fetched then. A failure completes nothing and prints nothing.

use crate::output::Output;
use crate::program::NAME;
use crate::runtime::block_on;
use crate::session::{Need, Session};
use crate::types::KNOWN;
use clap::Command;
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, Shell};
use multiclaude_hybrid_client::AgentFilter;
use multiclaude_hybrid_client::protocol::agent::Agent;
use std::env::args_os;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

const VARIABLE: &str = "COMPLETE";

/// The limit of a call to the coordinator while a person waits at the keyboard.
const LIMIT: Duration = Duration::from_secs(1);

/// Describes the command line, for completers, which clap gives no argument of ours.
static DESCRIBE: OnceLock<fn() -> Command> = OnceLock::new();

/// Completes the line so far and exits, if a shell asks for that. `describe` describes the
/// command line.
pub fn answer(describe: fn() -> Command) {
    let describe = *DESCRIBE.get_or_init(|| describe);
    CompleteEnv::with_factory(describe).var(VARIABLE).complete();
}

pub fn script(shell: Shell) -> io::Result<Vec<u8>> {
    let known = Shells::builtins();
    let known = known.completer(&shell.to_string()).ok_or(io::ErrorKind::Unsupported)?;
    let mut script = Vec::new();
    known.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    Ok(script)
}

pub fn names() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let agents = agents().unwrap_or_default().into_iter();
        let typed = typed.to_string_lossy();
        agents
            .filter(|agent| agent.name.as_str().starts_with(&*typed))
            .map(|agent| candidate(&agent))
            .collect()
    })
}

pub fn types() -> ArgValueCandidates {
    ArgValueCandidates::new(|| KNOWN.iter().map(CompletionCandidate::new).collect())
}

fn candidate(agent: &Agent) -> CompletionCandidate {
    let about = format!("{} of {}", agent.r#type, agent.owner);
    CompletionCandidate::new(agent.name.as_str()).help(Some(about.into()))
}

/// The agents of the repo that is meant here.
fn agents() -> Option<Vec<Agent>> {
    let repo = repo_of(DESCRIBE.get()?(), args_os());
    let session = Session::open(Output::new(true), LIMIT).ok()?.unattended();
    let at = session.in_repo(repo.as_deref(), Need::Use).ok()?;
    block_on(async { Ok(at.client.agents(&AgentFilter::default()).await?) }).ok()
}

/// The repo that the line so far names, which the shell's script gives after `--`.
fn repo_of(command: Command, words: impl Iterator<Item = OsString>) -> Option<String> {
    let line = words.skip_while(|word| word != "--").skip(1);
    let matches = command.ignore_errors(true).try_get_matches_from(line).ok()?;
    let mut matches = &matches;
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches.try_get_one("repo").ok().flatten().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::help;

    #[test]
    fn the_repo_of_an_unfinished_line_is_found_in_every_spelling() {
        for (line, repo) in [
            ("x -- multiclaude-hybrid send -R app fo", Some("app")),
            ("x -- multiclaude-hybrid send -r app", Some("app")),
            ("x -- multiclaude-hybrid agents --repo=acme/app show f", Some("acme/app")),
            ("x -- multiclaude-hybrid agents show --repo acme/app", Some("acme/app")),
            ("x -- multiclaude-hybrid workers list -r acme/app", Some("acme/app")),
            ("x -- multiclaude-hybrid send fo", None),
            ("x", None),
        ] {
            let words = line.split(' ').map(OsString::from);
            assert_eq!(repo_of(help::command(), words).as_deref(), repo, "{line}");
        }
    }
}
