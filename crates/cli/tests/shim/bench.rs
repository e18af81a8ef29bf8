//! A disk with a home, the shim, and stand-ins behind it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_multiclaude-hybrid");

/// See there. A file that a test writes could still be open in a child that
/// another test is just starting, and couldn't be run then; so it is linked.
const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shim/stand_in.sh");

pub(crate) struct Bench {
    root: tempfile::TempDir,
    path: Vec<PathBuf>,
}

/// One call of a stand-in.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) args: Vec<OsString>,
    pub(crate) path: OsString,
    pub(crate) stdin: Vec<u8>,
}

impl Bench {
    /// The shim as it is installed, then the real program, then the system's.
    pub(crate) fn new() -> Self {
        let mut bench = Self::without_shim();
        let shim = bench.at("home/.multiclaude/hybrid/shim/multiclaude");
        symlink(BINARY, &shim).unwrap();
        symlink(BINARY, bench.at("home/.multiclaude/hybrid/pane/tmux")).unwrap();
        bench.path.insert(0, shim.parent().unwrap().to_owned());
        bench
    }

    pub(crate) fn without_shim() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut bench = Self { root, path: Vec::new() };
        bench.at("home/x");
        bench.at("record/x");
        for name in ["multiclaude", "tmux"] {
            symlink(STAND_IN, bench.at(&format!("real/{name}"))).unwrap();
        }
        bench.path = vec![bench.at("real"), "/usr/bin".into(), "/bin".into()];
        bench
    }

    /// A path on this disk, whose directory exists.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A copy of the binary, made by another process for the same reason.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let to = self.at(name);
        assert!(status(Command::new("cp").arg(BINARY).arg(&to)).success());
        to
    }

    /// Puts these directories before all others.
    pub(crate) fn put_first(&mut self, dirs: &[&str]) {
        let dirs: Vec<_> = dirs.iter().map(|dir| self.root.path().join(dir)).collect();
        self.path.splice(0..0, dirs);
    }

    pub(crate) fn take_from_path(&mut self, dir: &str) {
        let dir = self.root.path().join(dir);
        self.path.retain(|entry| *entry != dir);
    }

    pub(crate) fn path(&self) -> OsString {
        std::env::join_paths(&self.path).unwrap()
    }

    /// `program` in this world and in nothing of ours.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.root.path().join("home"))
            .env("RECORD", self.root.path().join("record"))
            .env("PATH", self.path())
            .stdin(Stdio::null());
        command
    }

    /// The first `multiclaude` on the PATH.
    pub(crate) fn multiclaude<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let first = self.path.iter().map(|dir| dir.join("multiclaude"));
        let mut command = self.command(first.into_iter().find(|file| file.exists()).unwrap());
        command.args(args);
        command
    }

    pub(crate) fn calls(&self, program: &str) -> Vec<Call> {
        let file = |name: String| fs::read(self.at(&format!("record/{program}.{name}")));
        let count = file("calls".to_owned()).unwrap_or_default().len();
        let call = |n: usize| Call {
            args: split(&file(format!("{n}.argv")).unwrap()),
            path: OsString::from_vec(file(format!("{n}.path")).unwrap()),
            stdin: file(format!("{n}.stdin")).unwrap_or_default(),
        };
        (1..=count).map(call).collect()
    }

    /// The arguments of the only call.
    #[track_caller]
    pub(crate) fn only_args(&self, program: &str) -> Vec<OsString> {
        let mut calls = self.calls(program);
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0).args
    }
}

fn split(recorded: &[u8]) -> Vec<OsString> {
    let mut args: Vec<_> = recorded.split(|byte| *byte == 0).collect();
    assert_eq!(args.pop(), Some(&b""[..]), "each argument ends with a NUL");
    args.into_iter().map(|arg| OsString::from_vec(arg.to_vec())).collect()
}

/// Two shims that call each other would run for ever.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs it without input, for 20 s at most.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    e2e::process::output(command, b"", LIMIT)
}

#[track_caller]
pub(crate) fn status(command: &mut Command) -> ExitStatus {
    output(command).status
}

#[track_caller]
pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> ExitStatus {
    e2e::process::output(command, input, LIMIT).status
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout_path(output: &Output) -> PathBuf {
    let mut bytes = output.stdout.clone();
    assert_eq!(bytes.pop(), Some(b'\n'), "{}", stderr(output));
    PathBuf::from(OsString::from_vec(bytes))
}
