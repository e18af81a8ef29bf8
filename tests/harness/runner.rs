//! A machine that runs workers for others.

use crate::process::{LIMIT, finish, with_variable};
use crate::{Machine, World, eventually, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A machine with a login, and perhaps with a runner.
#[derive(Debug)]
pub struct Runner {
    pub machine: Machine,
    /// `owner/repo`.
    pub repo: String,
    runner: Option<Child>,
}

impl Runner {
    /// A machine that has this token, and the label `node`.
    pub fn new(world: &World, token: &str, node: &str) -> Self {
        Self::at(world, &world.url, token, node)
    }

    /// The same, with another URL of the coordinator.
    pub fn at(world: &World, url: &str, token: &str, node: &str) -> Self {
        let mut machine = Machine::new();
        machine.log_in(url, token, &world.repo, node);
        Self { machine, repo: world.repo.clone(), runner: None }
    }

    /// Starts a runner with these flags, whose workers run `command`.
    pub fn start(&mut self, flags: &[&str], command: &[&str]) {
        assert!(self.runner.is_none(), "the runner is running");
        let mut run = self.machine.hybrid(&["runner", "run"]);
        run.arg(&self.repo).args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--poll")) {
            run.arg("--poll=1");
        }
        if !command.is_empty() {
            run.arg("--").args(command);
        }
        self.spawn(run);
    }

    /// Starts a runner by any command.
    pub fn spawn(&mut self, command: Command) {
        self.runner = Some(self.machine.start(command, "runner.log"));
    }

    /// Starts a runner whose workers run this line of shell.
    pub fn start_sh(&mut self, flags: &[&str], line: &str) {
        self.start(flags, &["sh", "-c", line]);
    }

    pub fn pid(&self) -> u32 {
        self.runner.as_ref().expect("a runner").id()
    }

    /// Kills the runner alone with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut runner) = self.runner.take() {
            let _ = kill_process(Pid::from_child(&runner), Signal::KILL);
            runner.wait().unwrap();
        }
    }

    /// Sends SIGTERM to the runner.
    pub fn terminate(&self) {
        let runner = self.runner.as_ref().expect("a runner");
        kill_process(Pid::from_child(runner), Signal::TERM).unwrap();
    }

    /// Ends the runner with SIGTERM.
    pub fn stop(&mut self) {
        self.terminate();
        self.end();
    }

    /// Waits for the runner's end.
    pub fn end(&mut self) {
        let runner = self.runner.take().expect("a runner");
        let output = finish(runner, "a runner", LIMIT);
        assert!(output.status.success(), "{output:?}\n{}", self.log());
    }

    pub fn log(&self) -> String {
        self.machine.read("runner.log")
    }

    pub fn status(&self) -> Value {
        self.machine.status("runner")
    }

    /// The runner's part of the directories of a worker.
    pub fn worker(&self, id: &str) -> PathBuf {
        self.machine.path(&format!(".multiclaude-hybrid/runner/workers/{id}"))
    }

    /// The directory that the worker gets.
    pub fn given(&self, id: &str) -> PathBuf {
        self.machine.path(&format!(".multiclaude-hybrid/runner/work/{id}"))
    }

    /// The worker's own directory.
    pub fn work(&self, id: &str) -> PathBuf {
        self.given(id).join("files")
    }

    /// Waits until a file is there, and gives what is in it.
    pub async fn file(&self, path: &Path) -> String {
        let what = format!("{}:\n{}", path.display(), self.log());
        eventually(&what, || async {
            fs::read_to_string(path).ok().filter(|text| !text.is_empty())
        })
        .await
    }

    /// Waits until nothing of a worker is left here: no directory, no process.
    pub async fn forgets(&self, id: &str) {
        let what = format!("{id} is forgotten:\n{}", self.log());
        until(&what, async || !self.worker(id).exists()).await;
        assert_eq!(marked(id), Vec::<u32>::new(), "processes of {id} are left");
    }
}

/// The processes that have a worker's mark in their environment.
pub fn marked(id: &str) -> Vec<u32> {
    with_variable(&format!("MULTICLAUDE_HYBRID_WORKER={id}"))
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.kill();
        // Supervisors outlive the runner, and here no other takes over.
        let dir = self.machine.path(".multiclaude-hybrid/runner/workers");
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let _ = fs::write(entry.path().join("stop"), "\"lease_lost\"");
        }
        if std::thread::panicking() {
            eprintln!("--- the runner ---\n{}", self.log());
        }
    }
}
