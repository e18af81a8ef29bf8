use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{AfterFailure, Route, route};

pub(super) fn args(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn of(words: &[&str]) -> Route {
    route(&args(words), &|_| false)
}

#[test]
fn other_lines_go_to_the_real_program_byte_for_byte() {
    for line in [
        &[][..],
        &[""],
        &["--version"],
        &["-v"],
        &["--help"],
        &["-h"],
        &["help"],
        &["version", "--json"],
        &["start"],
        &["status"],
        &["daemon", "start"],
        &["daemon", "_run"],
        &["daemon", "logs", "-f", "-n", "5"],
        &["stop-all", "--clean", "--yes"],
        &["history", "-n", "3", "--full"],
        &["repo"],
        &["repo", "--help"],
        &["repo", "rm", "app"],
        &["repo", "use", "list"],
        &["repo", "history", "--search", "--remote"],
        &["repo", "list", "--help"],
        &["repo", "hibernate", "--all"],
        &["list", "--help"],
        &["list", "--json"],
        &["agents", "list"],
        &["agents", "spawn", "--name", "x", "--remote"],
        &["workspace", "list"],
        &["workspace", "add", "x", "--hybrid=true"],
        &["attach", "supervisor", "--read-only"],
        &["cleanup", "--dry-run"],
        &["repair"],
        &["refresh"],
        &["claude"],
        &["review", "https://github.com/a/b/pull/1"],
        &["logs", "search", "--remote"],
        &["config", "x", "--mq-enabled=true"],
        &["bug", "--output", "f", "a  b\nc"],
        &["work"],
        &["work", "x y", "", "  z "],
        &["worker", "create", "x y", "--name", "n"],
        &["worker", "list", "--repo", "app"],
        &["work", "rm", "x"],
        &["init"],
        &["init", "--help"],
        &["init", "https://github.com/a/b", "--no-merge-queue"],
        &["repo", "init", "--no-merge-queue=false", "https://h/a/b"],
        &["Message", "send"],
        &["configs", "x", "--hybrid=true"],
        &["--remote", "work", "x"],
        &["--", "list"],
    ] {
        assert_eq!(of(line), Route::Real(args(line)), "{line:?}");
    }
}

#[test]
fn arguments_that_are_not_utf_8_survive() {
    let odd = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    for line in [
        vec![odd(b"\xff\xfe")],
        vec![odd(b"work"), odd(b"fix \xff"), odd(b"--repo"), odd(b"\xf0")],
        vec![odd(b"config"), odd(b"\xff"), odd(b"--mq-track=\xfe")],
        vec![odd(b"repo"), odd(b"\xff")],
    ] {
        // The one repo that is named here is no text, so it is none of ours.
        assert_eq!(route(&line, &|_| true), Route::Real(line));
    }
    let line = [odd(b"config"), odd(b"\xff"), odd(b"--name"), odd(b"\xfe\x80")];
    assert_eq!(
        route(&line, &|_| false),
        Route::Hybrid(vec![odd(b"config"), odd(b"\xff"), odd(b"--name=\xfe\x80")])
    );
    let line = [odd(b"work"), odd(b"--remote"), odd(b"fix \xff")];
    assert_eq!(
        route(&line, &|_| false),
        Route::Hybrid(vec![odd(b"work"), odd(b"--remote"), odd(b"fix \xff")])
    );
}

#[test]
fn commands_that_look_for_their_caller_see_their_own_pane() {
    for line in [
        &["message"][..],
        &["message", "list"],
        &["message", "--help"],
        &["agent", "complete", "--summary", "done"],
        &["message", "send", "a"],
    ] {
        assert_eq!(of(line), Route::RealInOwnPane(args(line)));
    }
}

#[test]
fn a_message_is_routed_by_its_recipient() {
    for line in
        [&["message", "send", "a", "b  c\nd", "e"][..], &["agent", "send-message", "a", "--remote"]]
    {
        let whole = args(line);
        let (to, text) = (whole[2].clone(), whole[3..].to_vec());
        assert_eq!(of(line), Route::Message { real: whole, to, text });
    }
}

#[test]
fn a_plain_list_is_followed_by_our_list() {
    for line in [&["list"][..], &["repo", "list"]] {
        assert_eq!(
            of(line),
            Route::RealThenHybrid {
                real: args(line),
                hybrid: args(&["list", "--hybrid-only"]),
                after_failure: AfterFailure::GoOn,
            }
        );
    }
}

#[test]
fn an_init_without_a_flag_for_its_merge_queue_is_checked() {
    for (line, name) in [
        (&["init", "https://h/a/b"][..], None),
        (&["repo", "init", "https://h/a/b", "app"], Some("app")),
        (&["init", "--mq-track", "author", "https://h/a/b", "app"], Some("app")),
    ] {
        assert_eq!(
            of(line),
            Route::Init {
                args: args(line),
                url: "https://h/a/b".into(),
                name: name.map(OsString::from),
            }
        );
    }
}
