use std::cell::RefCell;
use std::ffi::{OsStr, OsString};

use super::real::Search;
use super::route::{AfterFailure, Route};
use super::{Hooks, Message, both, decide, init};

/// Ends with 3, has remote workers, and knows one repo whose merge queue is elsewhere.
#[derive(Default)]
struct Ours {
    ran: RefCell<Vec<Vec<OsString>>>,
}

impl Hooks for Ours {
    fn worker_is_remote(&self, _repo: Option<&str>) -> bool {
        true
    }

    fn init_without_merge_queue(&self, url: &OsStr, name: Option<&OsStr>) -> Option<String> {
        (url == "https://h/a/b" && name.is_none()).then(|| "ann serves it".to_owned())
    }

    fn message(&self, to: &OsStr) -> Message {
        if to == "here" { Message::Real } else { Message::Hybrid }
    }

    fn run_hybrid(&self, args: &[OsString]) -> u8 {
        self.ran.borrow_mut().push(args.to_vec());
        3
    }
}

fn search(name: &'static str) -> Search {
    Search {
        name,
        own: None,
        own_dirs: Vec::new(),
        path: "/usr/bin:/bin".into(),
        passed: Vec::new(),
    }
}

/// The code of a real program that is `name`, and how often ours ran after it.
fn after(name: &'static str, after_failure: AfterFailure) -> (u8, usize) {
    let ours = Ours::default();
    let line = [OsString::from("list")];
    let code = both(&search(name), &ours, &[], &line, after_failure);
    let ran = ours.ran.into_inner();
    assert!(ran.iter().all(|args| *args == line));
    (code, ran.len())
}

#[test]
fn a_shim_behind_another_one_decides_nothing() {
    let line = ["work", "x"].map(OsString::from);
    let mut search = search("multiclaude");
    let decided = decide(&search, &Ours::default(), &line);
    assert!(matches!(decided, Route::Hybrid(_)));
    search.passed.push("/copy/multiclaude".into());
    let decided = decide(&search, &Ours::default(), &line);
    assert_eq!(decided, Route::Real(line.to_vec()));
}

#[test]
fn our_command_follows_the_real_program_and_its_exit_code_counts_after_a_change() {
    assert_eq!(after("true", AfterFailure::GoOn), (0, 1));
    assert_eq!(after("true", AfterFailure::Stop), (3, 1));
}

#[test]
fn after_a_failure_our_command_shows_but_does_not_change() {
    assert_eq!(after("false", AfterFailure::GoOn), (1, 1));
    assert_eq!(after("false", AfterFailure::Stop), (1, 0));
    assert_eq!(after("no-such-program", AfterFailure::GoOn), (127, 1));
    assert_eq!(after("no-such-program", AfterFailure::Stop), (127, 0));
}

#[test]
fn a_merge_queue_that_is_served_elsewhere_is_left_out() {
    let args = |url: &str, name: Option<&str>| {
        let line = vec!["init".into(), url.into()];
        init(&Ours::default(), line, OsStr::new(url), name.map(OsStr::new))
    };
    assert_eq!(args("https://h/a/b", None), ["init", "https://h/a/b", "--no-merge-queue"]);
    assert_eq!(args("https://h/a/c", None), ["init", "https://h/a/c"]);
}
