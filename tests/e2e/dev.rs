//! `make dev`: one at a time in a directory, nothing left behind, and started
//! again when it does not answer.

use crate::{agent, message};
use e2e::process::{LIMIT, grouped, interrupt, kill, output, signal, with_variable};
use e2e::{Client, RepoClient, eventually, free_port, tool, until};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// The last line that it prints once it is ready.
const READY: &str = "Ctrl-C stops it; what it stored stays.";

fn script(dir: &Path, port: &str) -> Command {
    let mut command = tool("node");
    command.args(["--disable-warning=ExperimentalWarning", "scripts/dev.mjs"]);
    command.env("DEV_DIR", dir).env("PORT", port);
    command
}

/// A `make dev` that runs.
struct Dev {
    child: Child,
    dir: PathBuf,
    output: PathBuf,
    port: u16,
}

impl Dev {
    fn start(dir: &Path, port: u16) -> Self {
        let output = dir.with_extension(format!("{port}.txt"));
        let file = File::options().append(true).create(true).open(&output).unwrap();
        let mut command = script(dir, &port.to_string());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = grouped(&mut command).spawn().unwrap();
        Self { child, dir: dir.to_owned(), output, port }
    }

    /// The output of it and its predecessors on this port.
    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    async fn says(&self, what: &str, times: usize) {
        until(&format!("{what}, {times} times"), async || {
            self.said().matches(what).count() >= times
        })
        .await;
    }

    /// All processes: its own, wrangler's, and those of its keepers.
    fn processes(&self) -> Vec<u32> {
        with_variable(&format!("DEV_DIR={}", self.dir.display()))
    }

    fn workerds(&self) -> Vec<u32> {
        let is_workerd = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "workerd"
        };
        self.processes().into_iter().filter(is_workerd).collect()
    }

    /// Waits until none of these is left, and the port is free.
    async fn gone(&self, processes: &[u32]) {
        until("the end of all processes", async || {
            let left = self.processes();
            let port = TcpListener::bind(("127.0.0.1", self.port));
            port.is_ok() && !processes.iter().any(|pid| left.contains(pid))
        })
        .await;
    }

    fn tokens(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.join("tokens.json")).unwrap()).unwrap()
    }

    fn dan(&self) -> RepoClient {
        let tokens = self.tokens();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Client::new(&text("url"), &text("user")).repo("acme/app")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        kill(&mut self.child, "make dev");
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.join("wrangler.log")).unwrap_or_default();
            eprintln!("--- make dev ---\n{}\n--- wrangler ---\n{log}", self.said());
        }
    }
}

/// The bodies of the messages that wait for an agent.
async fn bodies(dan: &RepoClient, agent: &str) -> Vec<String> {
    let found = dan.messages(agent, "").await.unwrap();
    found.into_iter().map(|message| message.body).collect()
}

/// The error of one that finds this one running.
fn refusal(holder: &Dev) -> String {
    let (port, pid) = (holder.port, holder.child.id());
    format!(
        "make dev is already running on port {port}, pid {pid}. \
         Stop it with Ctrl-C there, or use that one.\n"
    )
}

/// Two start at the same moment: the one that runs. The other one was refused.
async fn race(dir: &Path) -> Dev {
    let (mut one, mut other) = (Dev::start(dir, free_port()), Dev::start(dir, free_port()));
    let (status, first) = eventually("one of them ends", async || {
        let ended = one.child.try_wait().unwrap().map(|status| (status, true));
        ended.or_else(|| other.child.try_wait().unwrap().map(|status| (status, false)))
    })
    .await;
    let (refused, runs) = if first { (one, other) } else { (other, one) };
    assert_eq!((status.code(), refused.said()), (Some(1), refusal(&runs)));
    runs
}

#[tokio::test]
async fn one_runs_in_a_directory_and_starts_again_when_it_hangs_and_a_kill_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("state");
    let mut dev = race(&dir).await;
    dev.says(READY, 1).await;
    let (tokens, dan) = (dev.tokens(), dev.dan());

    // One that comes later changes nothing.
    let late = output(&mut script(&dir, &free_port().to_string()), b"", LIMIT);
    let said = String::from_utf8(late.stderr).unwrap();
    assert_eq!((late.status.code(), said), (Some(1), refusal(&dev)));
    assert_eq!(dev.tokens(), tokens);

    dan.register(&agent("ws")).await.unwrap();
    dan.send(&message("ws", "ws", "before"), None).await.unwrap();

    // One workerd ends and the other hangs.
    let workerds = dev.workerds();
    assert_eq!(workerds.len(), 2, "{:?}", dev.processes());
    signal(workerds[0], Signal::KILL);
    signal(workerds[1], Signal::STOP);
    dev.says("The coordinator does not answer (log: ", 1).await;
    dev.says("It runs again.", 1).await;
    assert_eq!(bodies(&dan, "ws").await, ["before"]);

    // The script alone is killed; the next one needs not wait.
    let processes = dev.processes();
    assert!(processes.len() >= 5, "{processes:?}");
    signal(dev.child.id(), Signal::KILL);
    dev.child.wait().unwrap();
    dev.gone(&processes).await;
    let port = dev.port;
    drop(dev);
    let dev = Dev::start(&dir, port);
    dev.says(READY, 2).await;
    assert_eq!(dev.tokens(), tokens);
    assert_eq!(bodies(&dan, "ws").await, ["before"]);

    // Ctrl-C.
    let processes = dev.processes();
    interrupt(dev.child.id());
    dev.gone(&processes).await;
}

#[test]
fn a_port_that_is_none_is_refused_in_one_line() {
    let temporary = tempfile::tempdir().unwrap();
    for port in ["abc", "99999", "65536", "0", "-1", "8787.0", "1e3", "0x50", " 80", "٨"] {
        let refused = output(&mut script(&temporary.path().join("state"), port), b"", LIMIT);
        let said = String::from_utf8(refused.stderr).unwrap();
        let expected = format!(
            "PORT is a number from 1 to 65535, not {port:?}. Choose one: make dev PORT=8790\n"
        );
        assert_eq!((refused.status.code(), said), (Some(2), expected));
    }
    assert!(!temporary.path().join("state").exists(), "a directory was made");
}
