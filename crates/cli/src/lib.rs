//! `multiclaude-hybrid`: multiclaude agents across machines, by hand and for
//! scripts.
//!
//! | module | what is in it |
//! |---|---|
//! | `run`, `runtime` | one command line, from its words to its exit status |
//! | `args`, `options`, `commands` | the command line, options of many commands, and the commands |
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
//! | `doctor` | the checks of `doctor` |
//! | `failure`, `output`, `table`, `redact` | errors and exit statuses; text, JSON and tables |
//! | `program` | the name and the file of this program |
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
mod options;
mod output;
mod program;
mod progress;
mod received;
mod redact;
mod remote;
mod run;
mod runtime;
mod secrets;
mod sender;
mod service;
mod session;
mod settings;
pub mod shim;
mod spelled;
mod table;
mod types;

use crate::home::Home;
use crate::hooks::Commands;
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
            completion::answer(help::command);
            ExitCode::from(run::run(args))
        }
    }
}
