//! `multiclaude-hybrid`: multiclaude agents across machines, by hand and for
//! scripts.
//!
//! | module | what is in it |
//! |---|---|
//! | `args`, `commands` | the command line, and its commands |
//! | `session` | from the command line to a client: repo, coordinator and token |
//! | `remote` | which repo a git remote names, and at which host |
//! | `ids`, `received` | ids as people type them: whole, or a unique beginning |
//! | `sender` | the sender: an agent by its worktree, or the person |
//! | `types` | the types of agents, and the merge-queue |
//! | `settings`, `secrets` | logins and repos of this machine; tokens and keys |
//! | `home`, `files` | paths; private files, and files that are replaced as a whole |
//! | `spelled` | arguments with the words that gave them |
//! | `bridge` | the state of the running bridge |
//! | `claude_code` | Claude Code's settings of this user |
//! | `machine` | this machine for the bridge: settings, logins and keys |
//! | `crypt` | end-to-end encryption, with keys and pins on disk |
//! | `multiclaude` | the real program's files |
//! | `shim`, `hooks` | the same binary, called `multiclaude`, and our answers to it |
//! | `service` | the bridge as a service of the user's |
//! | `doctor` | the checks behind `doctor` |
//! | `failure`, `output`, `table`, `redact` | errors and exit statuses; text, JSON and tables |
//! | `help`, `completion` | groups, examples and manual pages of all commands, and what shells complete |
//! | `progress` | waiting for a worker or a message |
//!
//! *In scope:* one command, one run. *Out of scope:* the wire (the client
//! crate), decisions of the coordinator.

#![allow(unreachable_pub, reason = "a program: its modules are private, but for its tests")]
#![allow(
    rustdoc::invalid_html_tags,
    reason = "the docs of arguments are help texts, where <owner> is no HTML"
)]

mod args;
mod bridge;
mod claude_code;
mod commands;
mod completion;
mod crypt;
mod doctor;
mod failure;
mod files;
mod help;
pub mod home;
mod hooks;
mod ids;
mod machine;
mod multiclaude;
mod output;
mod progress;
mod received;
mod redact;
mod remote;
mod secrets;
mod sender;
mod service;
mod session;
mod settings;
pub mod shim;
mod spelled;
mod table;
mod types;

use crate::args::Cli;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::Home;
use crate::hooks::Commands;
use crate::output::Output;
use clap::FromArgMatches as _;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command line of this process, as the program that it was called as.
pub fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(Path::new).and_then(Path::file_name);
    match name.and_then(|name| name.to_str()) {
        Some(Home::SHIM) => shim::run(&args.split_off(1), &Commands),
        Some(Home::PANE) => shim::run_tmux(&args.split_off(1)),
        _ => {
            completion::answer();
            ExitCode::from(run(args))
        }
    }
}

/// Prints an error of clap, or the text of `--help` or `--version`, which are none.
fn print_usage_error(error: &clap::Error, json: bool) -> u8 {
    let text = error.render().to_string();
    if json && error.use_stderr() {
        let message = text.trim().trim_start_matches("error: ");
        Output::new(true).fail(&Failure::usage(message));
        return Exit::Usage as u8;
    }
    let redacted = redact::secrets(&text);
    if redacted == text {
        let _ = error.print();
    } else {
        Output::new(false).note(&format!(
            "{redacted}\nA secret was on the command line, where every process of this machine and the \
             shell's history can see it: revoke it, and pass the new one on standard input."
        ));
    }
    if error.use_stderr() { Exit::Usage as u8 } else { 0 }
}

/// Runs one command line, the program's name first; the exit status.
pub fn run(args: Vec<OsString>) -> u8 {
    let json = args.iter().any(|arg| arg == "--json");
    let mut command = help::command();
    let matches = command.try_get_matches_from_mut(args);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(error) => {
            return print_usage_error(&error, json);
        }
    };
    let out = Output::new(cli.json);
    let done = cli.run_part().unwrap_or_else(|| block_on(cli.run()));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            out.fail(&failure);
            failure.exit as u8
        }
    }
}

fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(work)
}
