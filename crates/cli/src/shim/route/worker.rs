//! `work` and `worker`: on this machine, or a request for a remote worker.
//!
//! The real parser would take the task after `--remote` for the flag's value,
//! so `--remote` and `--local` never reach it. Everything after `--` is the task.

use std::ffi::{OsStr, OsString};

use super::destination::Route;
use super::flags::{Item, is_help, parse, words};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Remote,
    Local,
}

/// The route of `command` (`work` or `worker`) with these arguments. `remote`
/// is asked only when the line would create a worker and does not say where.
pub(super) fn route(
    command: &OsStr,
    args: &[OsString],
    remote: &dyn Fn(Option<&str>) -> bool,
) -> Route {
    let whole = || Route::Real(line(command, args));
    if args.first().is_some_and(|arg| manages(arg)) {
        return whole();
    }
    let split = args.iter().position(|arg| arg == "--");
    let (head, task) = args.split_at(split.unwrap_or(args.len()));
    let (place, head) = match take_place(head) {
        Ok(found) => found,
        Err(usage) => return Route::Usage(usage),
    };
    let task_flags = match head.split_first() {
        Some((first, rest)) if first == "create" => rest,
        _ => head.as_slice(),
    };
    match place {
        Some(Place::Local) => Route::Real(line(command, head.iter().chain(task))),
        Some(Place::Remote) => match head.first().filter(|arg| manages(arg)) {
            Some(subcommand) => Route::Usage(format!(
                "--remote goes with a task, not with `{}`",
                subcommand.display()
            )),
            None => hybrid(task_flags, task),
        },
        None if creates(task_flags, task) && is_remote(task_flags, remote) => {
            hybrid(task_flags, task)
        }
        None => whole(),
    }
}

fn hybrid(flags: &[OsString], task: &[OsString]) -> Route {
    let remote = OsString::from("--remote");
    Route::Hybrid(line(OsStr::new("work"), [&remote].into_iter().chain(flags).chain(task)))
}

fn line<'a>(command: &OsStr, args: impl IntoIterator<Item = &'a OsString>) -> Vec<OsString> {
    std::iter::once(command.to_owned()).chain(args.into_iter().cloned()).collect()
}

fn manages(arg: &OsStr) -> bool {
    arg == "list" || arg == "rm"
}

/// Whether the real program would make a worker of this, or would if it knew
/// what `--` means.
fn creates(flags: &[OsString], task: &[OsString]) -> bool {
    !flags.first().is_some_and(|arg| is_help(arg)) && (!words(flags).is_empty() || task.len() > 1)
}

/// A repo whose name is no text is none that we know.
fn is_remote(flags: &[OsString], remote: &dyn Fn(Option<&str>) -> bool) -> bool {
    let named = parse(flags, |_, _| true)
        .into_iter()
        .filter_map(|item| match item {
            Item::Flag { name, value } if name == "repo" => value,
            _ => None,
        })
        .next_back();
    match named.map(OsStr::to_str) {
        Some(None) => false,
        named => remote(named.flatten()),
    }
}

/// The place that the line gives the worker, and the line without it.
fn take_place(args: &[OsString]) -> Result<(Option<Place>, Vec<OsString>), String> {
    let mut place = None;
    let mut rest = Vec::new();
    for arg in args {
        match place_of(arg)? {
            None => rest.push(arg.clone()),
            found @ Some(_) if place.is_some() && place != found => {
                return Err("--remote and --local exclude each other: a worker runs in one place"
                    .to_owned());
            }
            found => place = found,
        }
    }
    Ok((place, rest))
}

fn place_of(arg: &OsStr) -> Result<Option<Place>, String> {
    let Some(arg) = arg.to_str() else {
        return Ok(None);
    };
    let (name, value) = arg.split_once('=').unwrap_or((arg, "true"));
    let (here, there) = match name {
        "--remote" => (Place::Remote, Place::Local),
        "--local" => (Place::Local, Place::Remote),
        _ => return Ok(None),
    };
    match value {
        "true" => Ok(Some(here)),
        "false" => Ok(Some(there)),
        other => Err(format!("{name} is true or false, not `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::args;
    use super::*;
    use std::cell::RefCell;

    fn of(words: &[&str], remote: bool) -> Route {
        route(OsStr::new("work"), &args(words), &|_| remote)
    }

    #[test]
    fn remote_is_found_wherever_it_stands_and_create_is_dropped() {
        for given in [
            &["--remote", "fix it"][..],
            &["fix it", "--remote"],
            &["--remote=true", "fix it"],
            &["create", "--remote", "fix it"],
            &["--remote", "create", "fix it"],
            &["create", "fix it", "--remote", "--remote"],
            &["--local=false", "fix it"],
        ] {
            let expected = Route::Hybrid(args(&["work", "--remote", "fix it"]));
            assert_eq!(of(given, false), expected, "{given:?}");
            assert_eq!(route(OsStr::new("worker"), &args(given), &|_| false), expected);
        }
    }

    #[test]
    fn everything_else_of_a_remote_line_stays_in_order() {
        assert_eq!(
            of(&["create", "a", "--remote", "b", "--repo", "app", "--branch=x"], false),
            Route::Hybrid(args(&["work", "--remote", "a", "b", "--repo", "app", "--branch=x"]))
        );
    }

    #[test]
    fn local_goes_to_the_real_program_without_the_flag() {
        for (given, expected) in [
            (&["--local", "fix it"][..], &["work", "fix it"][..]),
            (&["create", "fix it", "--local"], &["work", "create", "fix it"]),
            (&["--remote=false", "fix it"], &["work", "fix it"]),
            (&["--local", "list"], &["work", "list"]),
        ] {
            assert_eq!(of(given, true), Route::Real(args(expected)));
        }
    }

    #[test]
    fn remote_with_a_value_that_is_neither_true_nor_false_is_refused() {
        assert!(matches!(of(&["--remote=yes", "x"], false), Route::Usage(_)));
        assert!(matches!(of(&["--remote", "list"], false), Route::Usage(_)));
    }

    #[test]
    fn a_plain_line_asks_for_a_remote_worker_if_workers_are_remote() {
        assert_eq!(
            of(&["create", "fix it"], true),
            Route::Hybrid(args(&["work", "--remote", "fix it"]))
        );
        assert_eq!(
            of(&["--", "--weird task"], true),
            Route::Hybrid(args(&["work", "--remote", "--", "--weird task"]))
        );
    }

    #[test]
    fn a_line_that_creates_no_worker_goes_to_the_real_program() {
        for given in [
            &[][..],
            &["list"],
            &["list", "--remote"],
            &["rm", "x"],
            &["rm", "x", "--remote"],
            &["create"],
            &["create", "--help"],
            &["-h"],
            &["--help", "x"],
            &["--repo", "app"],
            &["--"],
        ] {
            let mut expected = args(&["work"]);
            expected.extend(args(given));
            assert_eq!(of(given, true), Route::Real(expected), "{given:?}");
        }
    }

    #[test]
    fn the_repo_of_the_line_is_looked_up_only_for_a_new_worker() {
        let asked = RefCell::new(Vec::new());
        let ask = |repo: Option<&str>| {
            asked.borrow_mut().push(repo.map(str::to_owned));
            false
        };
        for given in [
            &["x"][..],
            &["x", "--repo", "app"],
            &["--repo=lib", "create"],
            &["--remote", "x"],
            &["--local", "x"],
            &["list"],
        ] {
            route(OsStr::new("work"), &args(given), &ask);
        }
        assert_eq!(asked.into_inner(), [None, Some("app".to_owned()), Some("lib".to_owned())]);
    }

    #[test]
    fn the_task_follows_two_dashes() {
        assert_eq!(
            of(&["--remote", "--", "--local", "create"], false),
            Route::Hybrid(args(&["work", "--remote", "--", "--local", "create"]))
        );
        assert_eq!(of(&["--", "--remote"], false), Route::Real(args(&["work", "--", "--remote"])));
    }
}
