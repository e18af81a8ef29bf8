//! Agents that ask multiclaude for their name get their own.

use std::ffi::OsString;

use crate::bench::{Bench, status};

const QUESTION: &str = "tmux display-message -p '#{window_name}'";

#[test]
fn a_message_is_sent_from_the_pane_of_its_sender() {
    for line in [&["message", "send", "a", "b"][..], &["agent", "complete"]] {
        let bench = Bench::new();
        let mut command = bench.multiclaude(line);
        command.env("STAND_IN", QUESTION).env("TMUX_PANE", "%7");
        assert!(status(&mut command).success());
        assert_eq!(bench.only_args("multiclaude"), line);
        assert_eq!(
            bench.only_args("tmux"),
            ["display-message", "-p", "-t", "%7", "#{window_name}"]
        );
    }
}

#[test]
fn only_the_path_of_such_a_call_changes() {
    let bench = Bench::new();
    let path_of = |line: &[&str]| {
        assert!(status(&mut bench.multiclaude(line)).success());
        bench.calls("multiclaude").pop().unwrap().path
    };
    let mut with_pane = OsString::from(bench.at("home/.multiclaude/hybrid/pane"));
    with_pane.push(":");
    with_pane.push(bench.path());
    assert_eq!(path_of(&["message", "list"]), with_pane);
    assert_eq!(path_of(&["status"]), bench.path());
    assert_eq!(path_of(&["work", "x"]), bench.path());
}

#[test]
fn all_other_calls_of_tmux_pass() {
    let bench = Bench::new();
    let mut command = bench.multiclaude(&["agent", "attach", "x"]);
    command.env("STAND_IN", "tmux attach -t '=mc-x:=a b' ''; tmux").env("TMUX_PANE", "%7");
    assert!(status(&mut command).success());
    let lines: Vec<_> = bench.calls("tmux").into_iter().map(|call| call.args).collect();
    assert_eq!(lines, [vec!["attach", "-t", "=mc-x:=a b", ""], vec![]]);
}
