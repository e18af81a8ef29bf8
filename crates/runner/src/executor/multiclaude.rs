//! Workers of the unmodified multiclaude on this machine. The supervisor runs
//! `runner follow`, which creates one and waits for its end.

use super::branches::branches;
use super::limits::LIMITS;
use super::{Assignment, Limits, local_name, task_argument};
use crate::job::{Job, Step};
use multiclaude_hybrid_bridge::multiclaude::{Ended, StateFile};
use multiclaude_hybrid_client::protocol::Repo;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The wait between two looks at multiclaude's state.
const LOOK: Duration = Duration::from_millis(300);
/// How long a worker may be missing in both the agents and the history: multiclaude
/// writes the state in two steps.
const MISSING: Duration = Duration::from_secs(3);

/// The multiclaude of this machine.
#[derive(Debug, Clone)]
pub struct Multiclaude {
    /// The path of multiclaude itself, not of the shim.
    pub program: PathBuf,
    /// multiclaude's names of the repos.
    pub nicknames: BTreeMap<Repo, String>,
    /// The path of this program.
    pub own: PathBuf,
}

impl Multiclaude {
    pub(super) fn job(&self, given: &Assignment<'_>, limits: &Limits) -> Result<Job, String> {
        let request = given.request;
        let (start, push_to) = branches(request)?;
        let nickname = self.nicknames.get(&request.repo);
        let nickname = nickname.ok_or_else(|| {
            format!("multiclaude has no clone of {} on this machine", request.repo)
        })?;
        let file = |path: PathBuf| path.to_string_lossy().into_owned();
        let local = local_name(&request.id);
        let mut follow = vec![
            file(self.own.clone()),
            "runner".to_owned(),
            "follow".to_owned(),
            format!("--multiclaude={}", self.program.display()),
            format!("--nickname={nickname}"),
            format!("--name={local}"),
            format!("--task={}", task_argument(&request.task, &file(given.dirs.task()))),
            format!("--summary={}", file(given.dirs.summary())),
        ];
        follow.extend(start.map(|start| format!("--branch={start}")));
        follow.extend(push_to.filter(|_| start.is_some()).map(|to| format!("--push-to={to}")));
        let mut forget = vec![file(self.own.clone()), "runner".to_owned(), "forget".to_owned()];
        forget.push(format!("--multiclaude={}", self.program.display()));
        forget.push(format!("--nickname={nickname}"));
        forget.push(format!("--name={local}"));
        let dir = given.dirs.files();
        let mark = ("MULTICLAUDE_HYBRID_WORKER".to_owned(), request.id.to_string());
        Ok(Job {
            id: request.id.to_string(),
            work: dir.clone(),
            steps: vec![Step { command: follow, dir }],
            cleanup: vec![Step { command: forget, dir: PathBuf::from("/") }],
            inherited: None,
            set: BTreeMap::from([mark]),
            timeout_secs: limits.timeout_of(request),
            output_max: limits.output,
            disk_max: limits.disk,
            ends_with_lease: request.retry,
            cgroup: None,
            not_enforced: LIMITS.map(|(_, name)| name.to_owned()).to_vec(),
            engine: None,
            user: None,
        })
    }
}

/// A worker of multiclaude to create and to follow.
#[derive(Debug, Clone)]
pub struct NewWorker<'a> {
    /// The path of multiclaude itself, not of the shim.
    pub multiclaude: &'a Path,
    /// multiclaude's name of the repo.
    pub nickname: &'a str,
    /// The worker's name.
    pub name: &'a str,
    /// Its task, as one argument.
    pub task: &'a str,
    /// The branch to start from.
    pub branch: Option<&'a str>,
    /// The branch to push to.
    pub push_to: Option<&'a str>,
    /// The file for its summary.
    pub summary: &'a Path,
}

/// Creates a worker and waits for its end; returns whether it succeeded.
///
/// # Errors
/// multiclaude cannot be run or refuses, or its state cannot be read.
pub fn create_and_follow(worker: &NewWorker<'_>, state: &StateFile) -> io::Result<bool> {
    let mut command = Command::new(worker.multiclaude);
    command.args([
        "worker",
        "create",
        worker.task,
        "--repo",
        worker.nickname,
        "--name",
        worker.name,
    ]);
    if let Some(branch) = worker.branch {
        command.args(["--branch", branch]);
    }
    if let Some(push_to) = worker.push_to {
        command.args(["--push-to", push_to]);
    }
    let status = command.stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("multiclaude worker create has failed: {status}")));
    }
    let mut created_at: Option<String> = None;
    let mut seen = Instant::now();
    loop {
        let state = state.read();
        if state.is_none() {
            // An unreadable state does not show whether the worker exists.
            seen = Instant::now();
        }
        let repo = state.as_ref().and_then(|state| state.repos.get(worker.nickname));
        if let Some(agent) = repo.and_then(|repo| repo.agents.get(worker.name)) {
            if created_at.is_none() {
                println!("{} works for multiclaude in {}", worker.name, agent.worktree_path);
            }
            created_at = Some(agent.created_at.clone());
            seen = Instant::now();
        }
        let is_it = |ended: &&Ended| {
            ended.name == worker.name
                && created_at.as_ref().is_none_or(|created| *created == ended.created_at)
        };
        if let Some(ended) = repo.and_then(|repo| repo.task_history.iter().rev().find(is_it)) {
            return write_summary(worker, ended);
        }
        if seen.elapsed() > MISSING {
            let text = "the worker is neither among multiclaude's agents nor in its history: somebody removed \
                        it, or its tmux session was lost";
            return Err(io::Error::other(text));
        }
        thread::sleep(LOOK);
    }
}

/// Prints the result of a worker and writes its summary; returns whether it succeeded. A
/// worker that reports nothing has crashed, or its claude was closed.
fn write_summary(worker: &NewWorker<'_>, ended: &Ended) -> io::Result<bool> {
    let (good, text) = match (&ended.failure_reason, &ended.summary) {
        (Some(reason), _) if !reason.is_empty() => (false, reason.as_str()),
        (_, Some(summary)) if !summary.is_empty() => (true, summary.as_str()),
        _ if ended.status == "failed" => (false, "it gave no reason"),
        _ => (false, "it ended without a summary: its claude was closed or has crashed"),
    };
    println!("{text}");
    fs::write(worker.summary, text)?;
    Ok(good)
}

/// Removes a worker of multiclaude, with its uncommitted changes.
///
/// # Errors
/// multiclaude cannot be run.
pub fn remove_worker(multiclaude: &Path, nickname: &str, name: &str) -> io::Result<()> {
    let mut command = Command::new(multiclaude);
    command.args(["worker", "rm", name, "--repo", nickname]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut answers) = child.stdin.take() {
        // It asks about uncommitted changes and unpushed commits.
        let _ = answers.write_all(b"y\ny\n");
    }
    child.wait().map(drop)
}
