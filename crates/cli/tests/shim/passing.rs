//! Other lines reach the real program as if there were no shim.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::bench::{Bench, output, status, stderr, with_input};
use e2e::process::{LIMIT, finish, grouped};

fn args(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[test]
fn arguments_arrive_byte_for_byte() {
    for line in [
        args(&[]),
        args(&[""]),
        args(&["agents", "spawn", "--name", "x", "--class", "ephemeral"]),
        args(&["config", "x", "--mq-enabled=true"]),
        args(&["message", "send", "a", "b  c\nd"]),
        args(&["message", "send", "a", "--remote", "'\"$HOME\"'", "*"]),
        args(&["agent", "complete", "--summary", " done "]),
        args(&["worker", "create", "x y"]),
        args(&["work", "", "  ", "--branch", ""]),
        args(&["init", "https://github.com/a/b", "--no-merge-queue"]),
        args(&["no-such-command", "--local"]),
        vec![OsString::from_vec(b"bug".to_vec()), OsString::from_vec(vec![0xff, 0xfe, b'\n'])],
        vec![OsString::from_vec(b"work".to_vec()), OsString::from_vec(b"fix \xe4".to_vec())],
    ] {
        let bench = Bench::new();
        assert!(status(&mut bench.multiclaude(&line)).success());
        assert_eq!(bench.only_args("multiclaude"), line);
    }
}

#[test]
fn standard_input_passes() {
    for line in [&["bug"][..], &["list"]] {
        let bench = Bench::new();
        let input = b"a\0b\xff\n".repeat(50_000);
        with_input(bench.multiclaude(line).stderr(Stdio::null()), &input);
        assert!(bench.calls("multiclaude")[0].stdin == input);
    }
}

#[test]
fn exit_codes_pass() {
    for line in [&["status"][..], &["message", "list"], &["list"], &["config"]] {
        for code in [1, 7, 127, 255] {
            let bench = Bench::new();
            let mut command = bench.multiclaude(line);
            command.env("STAND_IN", format!("exit {code}"));
            assert_eq!(status(&mut command).code(), Some(code), "{line:?}");
        }
    }
}

#[test]
fn death_by_a_signal_passes() {
    // PIPE as well: a program that was started with it ignored would live on.
    for (name, number) in [("TERM", 15), ("KILL", 9), ("PIPE", 13)] {
        let bench = Bench::new();
        let died = |line: &[&str]| {
            let mut command = bench.multiclaude(line);
            command.env("STAND_IN", format!("kill -{name} $$; exit 0"));
            status(&mut command)
        };
        assert_eq!(died(&["status"]).signal(), Some(number));
        // Our list follows, so the shim must outlive the real program.
        assert_eq!(died(&["list"]).code(), Some(128 + number));
    }
}

#[test]
fn the_process_becomes_the_real_program_and_bears_its_name() {
    let mut bench = Bench::new();
    symlink("/bin/bash", bench.at("shells/multiclaude")).unwrap();
    bench.take_from_path("real");
    let mut path = std::env::split_paths(&bench.path()).collect::<Vec<_>>();
    path.insert(1, bench.at("shells"));
    let mut shim = bench.multiclaude(&["-c", "echo $0 $$"]);
    shim.env("PATH", std::env::join_paths(path).unwrap()).stdout(Stdio::piped());
    let child = grouped(&mut shim).spawn().unwrap();
    let expected = format!("multiclaude {}\n", child.id());
    let output = finish(child, "multiclaude", LIMIT);
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn without_a_real_program_the_shim_reports_it_with_a_hint() {
    let mut bench = Bench::new();
    bench.take_from_path("real");
    for line in [&["status"][..], &["list"]] {
        let output = output(&mut bench.multiclaude(line));
        assert_eq!(output.status.code(), Some(127));
        let shim = bench.at("home/.multiclaude/hybrid/shim").display().to_string();
        for said in ["no multiclaude on the PATH", "`multiclaude`", &shim, "shim uninstall"] {
            assert!(stderr(&output).contains(said), "{output:?}");
        }
    }
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let bench = Bench::new();
    fs::remove_file(bench.at("real/multiclaude")).unwrap();
    fs::write(bench.at("real/multiclaude"), "#!/no/such/interpreter\n").unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bench.at("real/multiclaude"), executable).unwrap();
    let output = output(&mut bench.multiclaude(&["status"]));
    assert_eq!(output.status.code(), Some(126));
    assert!(stderr(&output).contains("real/multiclaude"));
}

#[test]
fn remote_and_local_together_start_nothing() {
    let bench = Bench::new();
    for args in [&["x", "--remote", "--local"][..], &["create", "--local", "x", "--remote"]] {
        let output = output(&mut bench.multiclaude(&[&["work"], args].concat()));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--remote and --local exclude each other"));
        assert!(bench.calls("multiclaude").is_empty());
    }
}

#[test]
fn hybrid_flags_never_reach_the_real_program() {
    let bench = Bench::new();
    status(&mut bench.multiclaude(&["config", "x", "--hybrid=true"]));
    assert!(bench.calls("multiclaude").is_empty());
    status(&mut bench.multiclaude(&["config", "--hybrid=true", "x", "--mq-enabled", "false"]));
    assert_eq!(bench.only_args("multiclaude"), ["config", "x", "--mq-enabled=false"]);
}
