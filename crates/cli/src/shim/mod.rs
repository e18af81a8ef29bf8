//! This program in the place of `multiclaude`.
//!
//! The same binary, found as `multiclaude` earlier on the PATH than the real
//! program. It takes the few lines that are ours, and hands everything else on
//! with identical arguments, terminal and exit code.
//!
//! - `route`: which of the two programs a line is for. Pure.
//! - `real`: finds the real program, never itself, and becomes it.
//! - `chain`: how two shims on one PATH don't call each other for ever.
//! - `tmux`: the one call of tmux that is answered for the caller's own pane.
//! - `install`: makes the links and puts them on the PATH of login shells.
//! - `login_shell`: asks such a shell what it finds.
//!
//! It does not know our own commands, but asks them: see [`Hooks`].

mod chain;
pub mod install;
pub mod login_shell;
pub(crate) mod real;
mod route;
mod tmux;

use crate::home::Home;
use crate::output::safe;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use real::{NOT_FOUND, Search};
use route::{AfterFailure, Route};

/// The exit code of a wrong line.
const USAGE: u8 = 2;

/// The questions of the shim to the rest of the program.
pub trait Hooks {
    /// Whether a plain `work "task"` asks for a remote worker in this repo:
    /// the one named by `--repo`, else that of the caller.
    fn worker_is_remote(&self, repo: Option<&str>) -> bool;

    /// Why a repo that is being added shall have no merge queue here, as a
    /// sentence for the developer; nothing if it shall have one.
    fn init_without_merge_queue(&self, url: &OsStr, name: Option<&OsStr>) -> Option<String>;

    /// The route of `message send <to> <text>`, which multiclaude itself delivers on this
    /// machine only.
    fn message(&self, to: &OsStr) -> Message;

    /// Runs `multiclaude-hybrid` with these arguments, to its exit code.
    fn run_hybrid(&self, args: &[OsString]) -> u8;
}

/// The route of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// multiclaude writes it: its recipient is here, or a bridge takes it from
    /// there.
    Real,
    /// No bridge runs: `multiclaude-hybrid send` takes it.
    Hybrid,
    /// It would be lost; why.
    Refuse(String),
}

/// Does what `multiclaude` with these arguments (without the program's name)
/// shall do. If that is the real program's work alone, it never returns: the process becomes
/// that program.
pub fn run(args: &[OsString], hooks: &dyn Hooks) -> ExitCode {
    let search = Search::here(Home::SHIM);
    ExitCode::from(match decide(&search, hooks, args) {
        Route::Real(args) => become_real(&search, &args, None),
        Route::RealInOwnPane(args) => {
            let path = path_with_pane(&search.path);
            become_real(&search, &args, path.as_deref())
        }
        Route::Message { real, to, text } => match hooks.message(&to) {
            Message::Real => {
                let path = path_with_pane(&search.path);
                become_real(&search, &real, path.as_deref())
            }
            Message::Hybrid => {
                let words = [OsString::from("send"), "--".into(), to];
                hooks.run_hybrid(&words.into_iter().chain(text).collect::<Vec<_>>())
            }
            Message::Refuse(why) => {
                eprintln!("multiclaude-hybrid: not sent: {}", safe(&why));
                1
            }
        },
        Route::Hybrid(args) => hooks.run_hybrid(&args),
        Route::RealThenHybrid { real, hybrid, after_failure } => {
            both(&search, hooks, &real, &hybrid, after_failure)
        }
        Route::Init { args, url, name } => {
            let args = init(hooks, args, &url, name.as_deref());
            become_real(&search, &args, None)
        }
        Route::Usage(what) => {
            eprintln!("multiclaude-hybrid: {}", safe(&what));
            USAGE
        }
    })
}

/// The decision of a shim is final: the next one does not see `--local` any more.
fn decide(search: &Search, hooks: &dyn Hooks, args: &[OsString]) -> Route {
    if search.is_called_by_a_shim() {
        return Route::Real(args.to_vec());
    }
    route::route(args, &|repo| hooks.worker_is_remote(repo))
}

/// Does what `tmux` with these arguments shall do. Returns only on failure.
pub fn run_tmux(args: &[OsString]) -> ExitCode {
    let pane = std::env::var_os("TMUX_PANE");
    let args = tmux::with_own_pane(args, pane.as_deref());
    ExitCode::from(become_real(&Search::here(Home::PANE), &args, None))
}

fn become_real(search: &Search, args: &[OsString], path: Option<&OsStr>) -> u8 {
    match search.find() {
        Ok(real) => real.exec(args, path),
        Err(error) => not_found(&error),
    }
}

fn not_found(error: &real::NotFound) -> u8 {
    eprintln!("multiclaude-hybrid: {}", safe(&error.to_string()));
    NOT_FOUND
}

/// Runs the real program, then ours. The exit code is the real program's if the line only
/// shows something, and ours if both have changed something.
fn both(
    search: &Search,
    hooks: &dyn Hooks,
    real: &[OsString],
    ours: &[OsString],
    after_failure: AfterFailure,
) -> u8 {
    let code = match search.find() {
        Ok(program) => program.run(real),
        Err(error) => not_found(&error),
    };
    match after_failure {
        // Our output beside the real program's does not count.
        AfterFailure::GoOn => {
            hooks.run_hybrid(ours);
        }
        AfterFailure::Stop if code == 0 => return hooks.run_hybrid(ours),
        AfterFailure::Stop => eprintln!(
            "multiclaude-hybrid: multiclaude failed, so the hybrid flags of this line were not applied"
        ),
    }
    code
}

fn init(
    hooks: &dyn Hooks,
    mut args: Vec<OsString>,
    url: &OsStr,
    name: Option<&OsStr>,
) -> Vec<OsString> {
    if let Some(why) = hooks.init_without_merge_queue(url, name) {
        eprintln!("multiclaude-hybrid: adding --no-merge-queue: {}", safe(&why));
        args.push("--no-merge-queue".into());
    }
    args
}

/// The PATH with our tmux first; nothing if it is there, or if there is no
/// home to have it in.
fn path_with_pane(path: &OsStr) -> Option<OsString> {
    let pane = Home::of_user().ok()?.pane_dir();
    let mut dirs: Vec<_> = std::env::split_paths(path).collect();
    if dirs.first() == Some(&pane) {
        return None;
    }
    dirs.insert(0, pane);
    std::env::join_paths(dirs).ok()
}

#[cfg(test)]
mod tests;
