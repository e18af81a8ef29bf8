//! `config`: its flags are divided between the real program and ours.
//!
//! The real program ignores a flag that it does not know and says nothing, so a line with a
//! single flag of ours must never reach it whole.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Args as _, Command};

use super::destination::{AfterFailure, Route};
use super::flags::{Item, is_help, parse, spelled};
use crate::commands::config::ConfigArgs;

const THEIRS: [&str; 4] = ["mq-enabled", "mq-track", "ps-enabled", "ps-track"];

pub(super) fn route(args: &[OsString]) -> Route {
    let whole = || Route::Real(line(args.iter().cloned()));
    if args.first().is_some_and(|arg| is_help(arg)) {
        return whole();
    }
    let command = ConfigArgs::augment_args(Command::new("config"));
    let ours = |name: &str| {
        command.get_arguments().find(|arg| arg.get_long() == Some(name) && !arg.is_hide_set())
    };
    let items = parse(args, |name, next| ours(name).is_none_or(|flag| takes_next(flag, next)));
    let words = || {
        items.iter().filter_map(|item| match item {
            Item::Word(word) => Some((*word).to_owned()),
            Item::Flag { .. } => None,
        })
    };
    let flags = |theirs: bool| {
        items.iter().filter_map(move |item| match item {
            Item::Flag { name, value } if THEIRS.contains(&&**name) == theirs => {
                let implied = ours(name).filter(|flag| is_bool(flag)).map(|_| OsStr::new("true"));
                Some(spelled(name, value.or(implied)))
            }
            _ => None,
        })
    };
    let has = |test: &dyn Fn(&str) -> bool| {
        items.iter().any(|item| matches!(item, Item::Flag { name, .. } if test(name)))
    };

    if !has(&|_| true) {
        return Route::RealThenHybrid {
            real: line(args.iter().cloned()),
            hybrid: line(words().take(1).chain([OsString::from("--hybrid-only")])),
            after_failure: AfterFailure::GoOn,
        };
    }
    if !has(&|name| ours(name).is_some()) {
        return whole();
    }
    // Our program reports a flag that neither of the two knows.
    let hybrid = line(words().chain(flags(false)));
    if !has(&|name| THEIRS.contains(&name)) {
        return Route::Hybrid(hybrid);
    }
    Route::RealThenHybrid {
        // The repo first: a word after a flag might be taken for its value.
        real: line(words().chain(flags(true))),
        hybrid,
        after_failure: AfterFailure::Stop,
    }
}

fn line(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    std::iter::once(OsString::from("config")).chain(args).collect()
}

/// Does the flag take `true` or `false`? Alone it means `true`.
fn is_bool(flag: &Arg) -> bool {
    let is_bool = flag.get_value_parser().type_id() == clap::value_parser!(bool).type_id();
    flag.get_action().takes_values() && is_bool
}

/// `--hybrid app` means the repo `app`, not the value.
fn takes_next(flag: &Arg, next: &OsStr) -> bool {
    let fits = !is_bool(flag) || next == "true" || next == "false";
    flag.get_action().takes_values() && fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Route {
        route(&args(words))
    }

    fn args(words: &str) -> Vec<OsString> {
        words.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn without_flags_both_programs_show_their_settings() {
        for (given, hybrid) in [("", "config --hybrid-only"), ("app", "config app --hybrid-only")] {
            assert_eq!(
                of(given),
                Route::RealThenHybrid {
                    real: args(&format!("config {given}")),
                    hybrid: args(hybrid),
                    after_failure: AfterFailure::GoOn,
                }
            );
        }
    }

    #[test]
    fn flags_of_the_real_program_and_unknown_flags_go_there_unchanged() {
        for line in [
            "app --mq-enabled=true",
            "app --mq-track author",
            "--ps-enabled false app",
            "app --hybird=true",
            "--help",
            "-h --hybrid=true",
            "app --mq-enabled=false --verbose",
        ] {
            assert_eq!(of(line), Route::Real(args(&format!("config {line}"))));
        }
    }

    #[test]
    fn hybrid_flags_are_ours_in_either_notation() {
        for (given, expected) in [
            (
                "app --hybrid=true --api-endpoint=https://c/v1",
                "app --hybrid=true --api-endpoint=https://c/v1",
            ),
            (
                "app --hybrid true --api-endpoint https://c",
                "app --hybrid=true --api-endpoint=https://c",
            ),
            ("--hybrid app", "app --hybrid=true"),
            ("--hybrid false app", "app --hybrid=false"),
            ("app --hybrid", "app --hybrid=true"),
            ("app --remote-agents worker", "app --remote-agents=worker"),
            ("app --remote-agents=", "app --remote-agents="),
            ("app --api-endpoint", "app --api-endpoint"),
            ("--require-encryption app", "app --require-encryption=true"),
            ("app --enabled=false", "app --enabled=false"),
            ("app --encrypt always", "app --encrypt=always"),
            ("app --spawn-endpoint=https://s", "app --spawn-endpoint=https://s"),
            ("app --name acme/app", "app --name=acme/app"),
            ("--node dan", "--node=dan"),
            ("app --git-host git.corp", "app --git-host=git.corp"),
            (
                "--remote-agents=x --allow-unknown-type app",
                "app --remote-agents=x --allow-unknown-type",
            ),
            (
                "app --max-workers 3 --max-spawns-per-minute 2",
                "app --max-workers=3 --max-spawns-per-minute=2",
            ),
            // An unknown flag beside one of ours is not lost.
            (
                "app --hybrid=true --api-endpont https://c",
                "app --hybrid=true --api-endpont=https://c",
            ),
        ] {
            assert_eq!(of(given), Route::Hybrid(args(&format!("config {expected}"))), "{given}");
        }
    }

    #[test]
    fn flags_of_both_are_divided_and_both_get_the_repo() {
        for given in [
            "app --mq-enabled=false --hybrid=true",
            "--mq-enabled false --hybrid app",
            "--hybrid app --mq-enabled false",
        ] {
            assert_eq!(
                of(given),
                Route::RealThenHybrid {
                    real: args("config app --mq-enabled=false"),
                    hybrid: args("config app --hybrid=true"),
                    after_failure: AfterFailure::Stop,
                },
                "{given}"
            );
        }
    }
}
