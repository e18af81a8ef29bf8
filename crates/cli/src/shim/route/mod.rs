//! Which of the two programs a line of arguments is for. Pure.
//!
//! *In scope:* the command lines of multiclaude, as far as a wrapper must know
//! them. *Out of scope:* what our own commands mean; they get an argument list.

mod config;
mod destination;
mod flags;
mod worker;

pub use destination::{AfterFailure, Route};

use std::ffi::{OsStr, OsString};

/// The route of `args` (without the program's name).
///
/// `worker_is_remote` is asked at most once, and only when a worker would be
/// created by a line that doesn't say where; its argument is the `--repo` of
/// the line.
pub fn route(args: &[OsString], worker_is_remote: &dyn Fn(Option<&str>) -> bool) -> Route {
    let whole = || args.to_vec();
    let Some((command, rest)) = args.split_first() else {
        return Route::Real(whole());
    };
    match (command.to_str(), rest) {
        (Some("message"), [verb, to, text @ ..]) if verb == "send" && !text.is_empty() => {
            Route::Message { real: whole(), to: to.clone(), text: text.to_vec() }
        }
        (Some("agent"), [verb, to, text @ ..]) if verb == "send-message" && !text.is_empty() => {
            Route::Message { real: whole(), to: to.clone(), text: text.to_vec() }
        }
        (Some("message" | "agent"), _) => Route::RealInOwnPane(whole()),
        (Some("config"), _) => config::route(rest),
        (Some("work" | "worker"), _) => worker::route(command, rest, worker_is_remote),
        (Some("list"), []) => list(whole()),
        (Some("init"), _) => init(whole(), rest),
        (Some("repo"), [subcommand, rest @ ..]) => match (subcommand.to_str(), rest) {
            (Some("list"), []) => list(whole()),
            (Some("init"), _) => init(whole(), rest),
            _ => Route::Real(whole()),
        },
        _ => Route::Real(whole()),
    }
}

fn list(real: Vec<OsString>) -> Route {
    Route::RealThenHybrid {
        real,
        hybrid: ["list", "--hybrid-only"].map(OsString::from).to_vec(),
        after_failure: AfterFailure::GoOn,
    }
}

fn init(args: Vec<OsString>, rest: &[OsString]) -> Route {
    let decided = flags::parse(rest, |_, _| true)
        .iter()
        .any(|item| matches!(item, flags::Item::Flag { name, .. } if name == "no-merge-queue"));
    if decided || rest.first().is_some_and(|arg| flags::is_help(arg)) {
        return Route::Real(args);
    }
    let mut words = flags::words(rest).into_iter().map(OsStr::to_owned);
    match (words.next(), words.next()) {
        (Some(url), name) => Route::Init { args, url, name },
        (None, _) => Route::Real(args),
    }
}

#[cfg(test)]
mod tests;
