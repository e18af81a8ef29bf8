//! The shim never finds itself, however often it is on the PATH.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bench::{BINARY, Bench, status};

/// The binary on the PATH in every way, twice, before the real program.
fn crowd() -> Bench {
    let mut bench = Bench::new();
    symlink(BINARY, bench.at("soft/multiclaude")).unwrap();
    symlink(bench.at("soft/multiclaude"), bench.at("twice/multiclaude")).unwrap();
    symlink(bench.at("soft"), bench.at("alias")).unwrap();
    let own = bench.copy("own/multiclaude-hybrid");
    bench.copy("copy1/multiclaude");
    bench.copy("copy2/multiclaude");
    fs::hard_link(&own, bench.at("hard1/multiclaude")).unwrap();
    fs::hard_link(&own, bench.at("hard2/multiclaude")).unwrap();
    let dirs = ["soft", "hard1", "copy1", "alias", "twice", "soft", "hard2", "copy2", "copy1"];
    bench.put_first(&dirs);
    bench
}

#[test]
fn many_shims_find_the_real_program_once() {
    for line in [&["status"][..], &["message", "list"], &["list"], &["config", "x"]] {
        let bench = crowd();
        let mut command = bench.multiclaude(line);
        command.env("STAND_IN", "exit 5");
        assert_eq!(status(&mut command).code(), Some(5));
        assert_eq!(bench.only_args("multiclaude"), line);
    }
}

#[test]
fn many_shims_without_a_real_program_give_up() {
    for line in [&["status"][..], &["list"]] {
        let mut bench = crowd();
        bench.take_from_path("real");
        assert_eq!(status(&mut bench.multiclaude(line)).code(), Some(127));
    }
}

#[test]
fn a_program_that_the_real_program_starts_finds_the_shim_again() {
    for bench in [Bench::new(), crowd()] {
        let mut command = bench.multiclaude(&["daemon", "start"]);
        command.env("STAND_IN", r#"[ "$1" = nested ] || multiclaude nested < /dev/null"#);
        assert!(status(&mut command).success());
        let calls = bench.calls("multiclaude");
        let lines: Vec<_> = calls.iter().map(|call| call.args.clone()).collect();
        assert_eq!(lines, [vec!["daemon", "start"], vec!["nested"]]);
    }
}

#[test]
fn a_copy_behind_a_shim_does_no_work_of_a_shim() {
    let bench = crowd();
    let line = ["message", "list"];
    assert!(status(&mut bench.multiclaude(&line)).success());
    let path = &bench.calls("multiclaude")[0].path;
    let pane = bench.at("home/.multiclaude/hybrid/pane");
    assert_eq!(std::env::split_paths(path).filter(|dir| *dir == pane).count(), 1);
}
