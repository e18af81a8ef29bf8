//! `config`: its flags are divided between the real program and ours.
//!
//! The real program ignores a flag that it does not know without a word, so a
//! line with a single flag of ours must never reach it whole.

use std::ffi::{OsStr, OsString};

use super::flags::{Item, is_help, parse, written};
use super::{AfterFailure, Route};

/// The flags of the real program.
const THEIRS: [&str; 4] = ["mq-enabled", "mq-track", "ps-enabled", "ps-track"];

/// Ours that are true or false, and true when they stand alone.
const SWITCHES: [&str; 3] = ["hybrid", "require-encryption", "enabled"];

/// Ours that need a value.
const SETTINGS: [&str; 8] = [
    "api-endpoint",
    "remote-agents",
    "spawn-endpoint",
    "encrypt",
    "name",
    "node",
    "max-workers",
    "max-spawns-per-minute",
];

/// The route of `config` with these arguments.
pub(super) fn route(args: &[OsString]) -> Route {
    let whole = || Route::Real(line(args.iter().cloned()));
    if args.first().is_some_and(|arg| is_help(arg)) {
        return whole();
    }
    let items = parse(args, takes_next);
    let words = || {
        items.iter().filter_map(|item| match item {
            Item::Word(word) => Some((*word).to_owned()),
            Item::Flag { .. } => None,
        })
    };
    let flags = |theirs: bool| {
        items.iter().filter_map(move |item| match item {
            Item::Flag { name, value } if THEIRS.contains(&&**name) == theirs => {
                Some(explicit(name, *value))
            }
            _ => None,
        })
    };
    let has = |test: fn(&str) -> bool| {
        items.iter().any(|item| matches!(item, Item::Flag { name, .. } if test(name)))
    };

    if !has(|_| true) {
        return Route::RealThenHybrid {
            real: line(args.iter().cloned()),
            hybrid: line(words().take(1).chain([OsString::from("--hybrid-only")])),
            after_failure: AfterFailure::GoOn,
        };
    }
    if !has(is_ours) {
        return whole();
    }
    // A flag that nobody knows goes to our side, which says so.
    let hybrid = line(words().chain(flags(false)));
    if !has(|name| THEIRS.contains(&name)) {
        return Route::Hybrid(hybrid);
    }
    Route::RealThenHybrid {
        // The repo first: what follows a flag might be taken for its value.
        real: line(words().chain(flags(true))),
        hybrid,
        after_failure: AfterFailure::Stop,
    }
}

fn line(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    std::iter::once(OsString::from("config")).chain(args).collect()
}

fn is_ours(name: &str) -> bool {
    SWITCHES.contains(&name) || SETTINGS.contains(&name)
}

/// `--hybrid app` means the repo `app`, not the value.
fn takes_next(name: &str, next: &OsStr) -> bool {
    !SWITCHES.contains(&name) || next == "true" || next == "false"
}

fn explicit(name: &str, value: Option<&OsStr>) -> OsString {
    let implied = SWITCHES.contains(&name).then_some(OsStr::new("true"));
    written(name, value.or(implied))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Route {
        let args: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        route(&args)
    }

    fn args(words: &str) -> Vec<OsString> {
        words.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn without_flags_both_sides_are_shown() {
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
    fn flags_of_the_real_program_and_flags_of_nobody_go_there_unchanged() {
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
            (
                "app --max-workers 3 --max-spawns-per-minute 2",
                "app --max-workers=3 --max-spawns-per-minute=2",
            ),
        ] {
            assert_eq!(of(given), Route::Hybrid(args(&format!("config {expected}"))), "{given}");
        }
    }

    #[test]
    fn a_flag_that_nobody_knows_beside_one_of_ours_is_not_lost() {
        assert_eq!(
            of("app --hybrid=true --api-endpont https://c"),
            Route::Hybrid(args("config app --hybrid=true --api-endpont=https://c"))
        );
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
