//! A machine with the stand-in of multiclaude and a bridge on it.

mod sessions;

use crate::process::{LIMIT, finish, kill};
use crate::{Machine, World, eventually, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// An agent that writes messages.
#[derive(Debug, Clone)]
pub struct Writer {
    program: OsString,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
}

impl Writer {
    /// `multiclaude message send`.
    pub fn send(&self, to: &str, body: &str) {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(&self.directory);
        let sent = crate::process::output(command.args(["message", "send", to, body]), b"", LIMIT);
        assert!(sent.status.success(), "{sent:?}");
    }
}

/// A machine called by its node's label, with a repo `app` of the world's.
#[derive(Debug)]
pub struct Site {
    pub machine: Machine,
    /// Its label.
    pub node: String,
    /// multiclaude's name for the repo.
    pub nickname: String,
    bridge: Option<Child>,
    tmux: bool,
}

impl Site {
    /// One whose agents have no windows: supervisor, merge-queue and default, and
    /// a worker fox.
    pub fn new(world: &World, token: &str, node: &str) -> Self {
        Self::with(Machine::new(), world, token, node, "app", false)
    }

    /// One whose agents run in tmux.
    pub fn with_tmux(world: &World, token: &str, node: &str) -> Self {
        Self::with(Machine::new(), world, token, node, "app", true)
    }

    /// One that is set up in a given home, under a given nickname.
    pub fn with(
        machine: Machine,
        world: &World,
        token: &str,
        node: &str,
        nickname: &str,
        tmux: bool,
    ) -> Self {
        let mut site = Self {
            machine,
            node: node.to_owned(),
            nickname: nickname.to_owned(),
            bridge: None,
            tmux,
        };
        site.machine.install_multiclaude(tmux);
        // Before the first session, which looks whether it is in hybrid mode.
        site.machine.log_in(&world.url, token, &world.repo, node);
        site.ok(&["start"]);
        site.ok(&["repo", "init", &world.clone_url(), nickname]);
        site.ok(&["worker", "create", "a task", "--repo", nickname, "--name", "fox"]);
        site
    }

    /// Runs multiclaude, anywhere.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.multiclaude(None, args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs multiclaude in the directory of an agent.
    pub fn multiclaude(&self, agent: Option<&str>, args: &[&str]) -> Output {
        let mut command = self.machine.command(self.machine.path("bin/multiclaude"));
        command.args(args).stdin(Stdio::null());
        if let Some(agent) = agent {
            let worktree = self.worktree(agent);
            let dir = if worktree.exists() { worktree } else { self.clone_dir() };
            command.current_dir(dir);
        }
        crate::process::output(&mut command, b"", LIMIT)
    }

    fn clone_dir(&self) -> PathBuf {
        self.machine.path(&format!(".multiclaude/repos/{}", self.nickname))
    }

    pub fn worktree(&self, agent: &str) -> PathBuf {
        self.machine.path(&format!(".multiclaude/wts/{}/{agent}", self.nickname))
    }

    /// `multiclaude message send`, as that agent.
    pub fn send(&self, agent: &str, to: &str, body: &str) {
        self.writer(agent).send(to, body);
    }

    /// An agent that writes while the site is used otherwise.
    pub fn writer(&self, agent: &str) -> Writer {
        let command = self.machine.command(self.machine.path("bin/multiclaude"));
        let environment = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let worktree = self.worktree(agent);
        Writer {
            program: command.get_program().to_owned(),
            environment: environment.collect(),
            directory: if worktree.exists() { worktree } else { self.clone_dir() },
        }
    }

    /// The directory of a recipient's messages.
    pub fn messages(&self, name: &str) -> PathBuf {
        self.machine.path(&format!(".multiclaude/messages/{}/{name}", self.nickname))
    }

    /// The message files of a local agent, in the order of their names.
    pub fn files(&self, agent: &str) -> Vec<Value> {
        let Ok(entries) = fs::read_dir(self.messages(agent)) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        // One may be half written: the caller reads again.
        paths.iter().filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
    }

    /// The bodies of the messages of a local agent that came from `from`.
    pub fn bodies(&self, agent: &str, from: &str) -> Vec<String> {
        let files = self.files(agent).into_iter().filter(|file| file["from"] == from);
        files.map(|file| file["body"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for a message of this body.
    pub async fn receives(&self, agent: &str, body: &str) -> Value {
        let what = format!("{body:?} for {agent} of {}:\n{}", self.node, self.log());
        eventually(&what, || async {
            self.files(agent).into_iter().find(|file| file["body"] == body)
        })
        .await
    }

    /// Waits for a message from `from` with this text in it; the whole body.
    pub async fn bodies_with(&self, agent: &str, from: &str, text: &str) -> String {
        let what = format!("{text:?} for {agent} of {}:\n{}", self.node, self.log());
        eventually(&what, || async {
            self.bodies(agent, from).into_iter().find(|body| body.contains(text))
        })
        .await
    }

    pub fn start_bridge(&mut self, args: &[&str]) {
        let mut command = self.machine.hybrid(&["bridge", "run"]);
        command.args(args);
        self.start(command);
    }

    /// Starts a bridge by any command.
    pub fn start(&mut self, command: Command) {
        assert!(self.bridge.is_none(), "the bridge is running");
        self.bridge = Some(self.machine.start(command, "bridge.log"));
    }

    pub fn bridge_pid(&self) -> u32 {
        self.bridge.as_ref().expect("a bridge").id()
    }

    /// Starts the bridge and waits until these agents can be written to from
    /// here, and all of this machine's are registered.
    pub async fn bridge(&mut self, args: &[&str], reaches: &[&str]) {
        self.start_bridge(args);
        self.reaches(reaches).await;
    }

    /// Waits until this machine's agents are registered, and these names are
    /// linked.
    pub async fn reaches(&self, names: &[&str]) {
        let what = format!("{} reaches {names:?}", self.node);
        // The list of agents is read once a minute.
        until(&what, async || {
            let linked = names.iter().all(|name| self.messages(name).is_symlink());
            linked && self.all_are_registered()
        })
        .await;
    }

    /// Are all agents of multiclaude's state registered, but for those that stand down or
    /// were refused?
    fn all_are_registered(&self) -> bool {
        let state = self.machine.read(".multiclaude/state.json");
        let state: Value = serde_json::from_str(&state).unwrap_or_default();
        let Some(agents) = state["repos"][&self.nickname]["agents"].as_object() else {
            return false;
        };
        let status = &self.status()["repos"][0];
        let of = |list: &str| status[list].as_array().cloned().unwrap_or_default();
        let registered: Vec<_> = of("agents").iter().map(|agent| agent["local"].clone()).collect();
        let is_known = |name: &String| {
            registered.contains(&Value::from(name.as_str()))
                || of("stood_down").contains(&Value::from(name.as_str()))
                || !status["not_registered"][name].is_null()
        };
        !agents.is_empty() && agents.keys().all(is_known)
    }

    pub fn status(&self) -> Value {
        self.machine.status("bridge")
    }

    /// Waits until `check` gives something of the status.
    pub async fn status_with<T>(&self, what: &str, check: impl Fn(&Value) -> Option<T>) -> T {
        let what = format!("{what} ({}):\n{}", self.node, self.log());
        eventually(&what, || async { check(&self.status()) }).await
    }

    /// Waits until the bridge has registered an agent under this name.
    pub async fn registers(&self, name: &str) {
        self.status_with(&format!("{name} is registered"), |status| {
            let agents = status["repos"][0]["agents"].as_array()?;
            agents.iter().any(|agent| agent["name"] == name).then_some(())
        })
        .await;
    }

    /// All that the bridge has logged.
    pub fn log(&self) -> String {
        self.machine.read("bridge.log")
    }

    /// Kills the bridge with SIGKILL.
    pub fn kill_bridge(&mut self) {
        if let Some(mut bridge) = self.bridge.take() {
            kill(&mut bridge, "a bridge");
        }
    }

    /// Waits until something else has killed the bridge.
    pub async fn bridge_dies(&mut self) {
        let mut bridge = self.bridge.take().expect("a bridge");
        let status = eventually("the bridge is killed", async || bridge.try_wait().unwrap()).await;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
    }

    /// Ends the bridge with SIGTERM; how long it took.
    pub fn stop_bridge(&mut self) -> Duration {
        let bridge = self.bridge.take().expect("a bridge");
        let begun = Instant::now();
        kill_process(Pid::from_child(&bridge), Signal::TERM).unwrap();
        let output = finish(bridge, "a bridge", LIMIT);
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        begun.elapsed()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill_bridge();
        let _ = self.multiclaude(None, &["stop"]);
        if self.tmux {
            self.machine.tmux(&["kill-server"]);
        }
        if std::thread::panicking() {
            eprintln!("--- the bridge of {} ---\n{}", self.node, self.log());
        }
    }
}
