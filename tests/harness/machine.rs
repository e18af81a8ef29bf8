//! A machine that somebody uses the command line on: a `HOME` of its own, and
//! the real binary.

use crate::process::{LIMIT, grouped, output};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// The program of this name that was built with this test, `target/debug/deps/e2e-…`.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name(name);
    assert!(path.exists(), "{name} is missing: cargo build -p multiclaude-hybrid -p e2e --bins");
    path
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit status.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks its exit status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The first word that it printed: the id of what it has made.
    pub fn id(&self) -> String {
        self.stdout.split(' ').next().unwrap().to_owned()
    }

    /// What it printed, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A machine with a user.
#[derive(Debug)]
pub struct Machine {
    /// Holds the home, or is it.
    _dir: tempfile::TempDir,
    home: PathBuf,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    transcript: String,
}

impl Machine {
    /// A new one. Its `bin` comes first on the PATH.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_owned();
        Self::at(dir, home)
    }

    /// One whose home is at this path below a temporary directory.
    pub fn in_long_home(path: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join(path);
        fs::create_dir_all(&home).unwrap();
        Self::at(dir, home)
    }

    /// One whose home is at this path below a temporary directory, and is reached
    /// through a link.
    pub fn in_home(path: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(path)).unwrap();
        let home = dir.path().join("home");
        symlink(dir.path().join(path), &home).unwrap();
        Self::at(dir, home)
    }

    fn at(dir: tempfile::TempDir, home: PathBuf) -> Self {
        let machine = Self {
            _dir: dir,
            home,
            environment: Vec::new(),
            directory: None,
            transcript: String::new(),
        };
        fs::create_dir(machine.path("bin")).unwrap();
        symlink(program("multiclaude-hybrid"), machine.path("bin/multiclaude-hybrid")).unwrap();
        machine
    }

    /// A path in its home.
    pub fn path(&self, path: &str) -> PathBuf {
        self.home.join(path)
    }

    /// Writes a file in its home, with the directories around it.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Puts a program on its PATH. A shell writes the file: if this process had it open while
    /// another test starts a program, that program could keep it open for writing for a moment,
    /// and executing it would fail with "text file busy".
    pub fn install(&self, name: &str, script: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(self.path("bin").join(name));
        let written = output(&mut shell, script.as_bytes(), LIMIT);
        assert!(written.status.success(), "{written:?}");
    }

    /// Changes the mode of a file in its home.
    pub fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).unwrap();
    }

    /// multiclaude's state: one repo called `app`, cloned from `url`, with these
    /// agents (`name: type`).
    pub fn multiclaude(&self, url: &str, agents: &[(&str, &str)]) {
        let agents: serde_json::Map<_, _> = agents
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })))
            .collect();
        let app = json!({ "github_url": url, "tmux_session": "mc-app", "agents": agents });
        let state = json!({ "repos": { "app": app } });
        self.write(".multiclaude/state.json", &state.to_string());
    }

    /// Logs in, and turns hybrid mode on for `owner/repo` with a node's label.
    pub fn log_in(&mut self, url: &str, token: &str, repo: &str, node: &str) {
        self.run_with(&["login", "--url", url], token).exits(0);
        self.run(&["config", repo, "--hybrid=true", &format!("--node={node}")]).exits(0);
    }

    /// Puts the stand-in of multiclaude on its PATH, whose agents run in tmux or not at
    /// all; also as `claude`, if there is none yet.
    pub fn install_multiclaude(&mut self, tmux: bool) {
        for name in ["multiclaude", "claude"] {
            let path = self.path(&format!("bin/{name}"));
            if !path.is_symlink() {
                symlink(program("multiclaude-stand-in"), path).unwrap();
            }
        }
        if tmux {
            let sockets = self.path("tmux");
            fs::create_dir(&sockets).unwrap();
            self.set("TMUX_TMPDIR", sockets.to_str().unwrap());
            self.set("TERM", "xterm-256color");
            self.set("SHELL", "/bin/bash");
            let path = format!("export PATH='{}':$PATH\n", self.path("bin").display());
            self.write(".profile", &path);
        } else {
            self.set("STAND_IN_TMUX", "0");
        }
    }

    pub fn tmux(&self, args: &[&str]) -> Output {
        output(self.command("tmux").args(args), b"", LIMIT)
    }

    /// Starts a program whose output is appended to a file in its home.
    pub fn start(&self, mut command: Command, log: &str) -> Child {
        let log = File::options().create(true).append(true).open(self.path(log)).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// A file in its home; nothing if there is none.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// `bridge status` or `runner status`; an error where it gives none.
    pub fn status(&self, of: &str) -> Value {
        let output = output(&mut self.hybrid(&[of, "status", "--json"]), b"", LIMIT);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }

    /// Sets a variable for what is run from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs what follows in this directory of its home.
    pub fn enter(&mut self, directory: &str) {
        let path = self.path(directory);
        fs::create_dir_all(&path).unwrap();
        self.directory = Some(path);
    }

    /// Any program, as this machine's user would run it.
    pub fn command<S: AsRef<OsStr>>(&self, program: S) -> Command {
        let home = &self.home;
        let bin = home.join("bin");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", home)
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
            .env("LANG", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.as_deref().unwrap_or(home))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        grouped(&mut command);
        command
    }

    /// The binary with arguments, not started yet.
    pub fn hybrid(&self, args: &[&str]) -> Command {
        let mut command = self.command(self.path("bin/multiclaude-hybrid"));
        command.args(args);
        command
    }

    /// Runs the binary.
    pub fn run(&mut self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    /// Runs the binary with the words of a line.
    pub fn line(&mut self, line: &str) -> Ran {
        self.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// Runs the binary with `input` on its standard input.
    pub fn run_with(&mut self, args: &[&str], input: &str) -> Ran {
        let ran = Ran::of(output(&mut self.hybrid(args), input.as_bytes(), LIMIT));
        let shown: Vec<_> = args.iter().map(|arg| quoted(arg)).collect();
        self.record(&format!("multiclaude-hybrid {}", shown.join(" ")), &ran);
        ran
    }

    /// Runs a line of shell.
    pub fn sh(&mut self, line: &str) -> Ran {
        let mut command = self.command("sh");
        command.args(["-c", line]);
        let ran = Ran::of(output(&mut command, b"", LIMIT));
        self.record(line, &ran);
        ran
    }

    fn record(&mut self, line: &str, ran: &Ran) {
        self.transcript.push_str(&format!("$ {line}\n{}", ran.stdout));
        for said in ran.stderr.lines() {
            self.transcript.push_str(&format!("! {said}\n"));
        }
        if ran.code != 0 {
            self.transcript.push_str(&format!("[exit {}]\n", ran.code));
        }
        self.transcript.push('\n');
    }

    /// Forgets what was recorded so far.
    pub fn clear(&mut self) {
        self.transcript.clear();
    }

    /// Everything that was run since the start or the last [`Machine::clear`],
    /// and what it said.
    pub fn transcript(&self) -> String {
        let home = self.home.display().to_string();
        self.transcript.replace(&home, "~")
    }
}

fn quoted(arg: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@".contains(&byte);
    if !arg.is_empty() && arg.bytes().all(plain) { arg.to_owned() } else { format!("{arg:?}") }
}
