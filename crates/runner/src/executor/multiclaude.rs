//! Workers of the unmodified multiclaude on this machine. The supervisor runs
//! `runner follow`, which creates one and waits for its end.

use super::branches::branches;
use super::limits::LIMITS;
use super::{Assignment, Limits, local_name, task_argument};
use crate::job::{Job, Step};
use clap::Args;
use multiclaude_hybrid_bridge::multiclaude::{Ended, StateFile};
use multiclaude_hybrid_client::protocol::Repo;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
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
        let at = LocalWorker {
            multiclaude: self.program.clone(),
            nickname: nickname.clone(),
            name: local_name(&request.id),
        };
        let worker = NewWorker {
            at,
            task: task_argument(&request.task, &given.dirs.task().to_string_lossy()),
            branch: start.map(str::to_owned),
            push_to: push_to.filter(|_| start.is_some()).map(str::to_owned),
            summary: given.dirs.summary(),
        };
        let own = self.own.to_string_lossy().into_owned();
        let command = |part: &str, flags: Vec<String>| {
            [own.clone(), "runner".to_owned(), part.to_owned()].into_iter().chain(flags).collect()
        };
        let dir = given.dirs.files();
        let mark = ("MULTICLAUDE_HYBRID_WORKER".to_owned(), request.id.to_string());
        Ok(Job {
            id: request.id.to_string(),
            work: dir.clone(),
            steps: vec![Step { command: command("follow", worker.flags()), dir }],
            cleanup: vec![Step {
                command: command("forget", worker.at.flags()),
                dir: PathBuf::from("/"),
            }],
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

/// A worker of multiclaude. The flags that name it are parsed by the program that is
/// installed when it ends, which may be a later one.
#[derive(Debug, Clone, Args)]
pub struct LocalWorker {
    /// The path of multiclaude itself, not of the shim
    #[arg(long)]
    multiclaude: PathBuf,
    /// multiclaude's name of the repo
    #[arg(long)]
    nickname: String,
    /// The worker's name
    #[arg(long)]
    name: String,
}

/// One to create and to follow.
#[derive(Debug, Clone, Args)]
pub struct NewWorker {
    #[command(flatten)]
    at: LocalWorker,
    /// Its task, as one argument
    #[arg(long)]
    task: String,
    /// The branch to start from
    #[arg(long)]
    branch: Option<String>,
    /// The branch to push to
    #[arg(long)]
    push_to: Option<String>,
    /// The file for its summary
    #[arg(long)]
    summary: PathBuf,
}

impl NewWorker {
    fn flags(&self) -> Vec<String> {
        let mut flags = self.at.flags();
        flags.push(format!("--task={}", self.task));
        flags.push(format!("--summary={}", self.summary.display()));
        flags.extend(self.branch.iter().map(|branch| format!("--branch={branch}")));
        flags.extend(self.push_to.iter().map(|push_to| format!("--push-to={push_to}")));
        flags
    }

    /// Creates a worker and waits for its end; returns whether it succeeded.
    ///
    /// # Errors
    /// multiclaude cannot be run or refuses, or its state cannot be read.
    pub fn create_and_follow(&self, state: &StateFile) -> io::Result<bool> {
        self.create()?;
        let mut created_at: Option<String> = None;
        let mut seen = Instant::now();
        loop {
            let state = state.read();
            if state.is_none() {
                // An unreadable state does not show whether the worker exists.
                seen = Instant::now();
            }
            let repo = state.as_ref().and_then(|state| state.repos.get(&self.at.nickname));
            if let Some(agent) = repo.and_then(|repo| repo.agents.get(&self.at.name)) {
                if created_at.is_none() {
                    println!("{} works for multiclaude in {}", self.at.name, agent.worktree_path);
                }
                created_at = Some(agent.created_at.clone());
                seen = Instant::now();
            }
            let is_it = |ended: &&Ended| {
                ended.name == self.at.name
                    && created_at.as_ref().is_none_or(|created| *created == ended.created_at)
            };
            if let Some(ended) = repo.and_then(|repo| repo.task_history.iter().rev().find(is_it)) {
                return self.write_summary(ended);
            }
            if seen.elapsed() > MISSING {
                let text = "the worker is neither among multiclaude's agents nor in its history: somebody removed \
                            it, or its tmux session was lost";
                return Err(io::Error::other(text));
            }
            thread::sleep(LOOK);
        }
    }

    fn create(&self) -> io::Result<()> {
        let mut command = Command::new(&self.at.multiclaude);
        command.args([
            "worker",
            "create",
            &self.task,
            "--repo",
            &self.at.nickname,
            "--name",
            &self.at.name,
        ]);
        if let Some(branch) = &self.branch {
            command.args(["--branch", branch]);
        }
        if let Some(push_to) = &self.push_to {
            command.args(["--push-to", push_to]);
        }
        let status = command.stdin(Stdio::null()).status()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("multiclaude worker create has failed: {status}")))
    }

    /// Prints the result of a worker and writes its summary; returns whether it succeeded. A
    /// worker that reports nothing has crashed, or its claude was closed.
    fn write_summary(&self, ended: &Ended) -> io::Result<bool> {
        let (good, text) = match (&ended.failure_reason, &ended.summary) {
            (Some(reason), _) if !reason.is_empty() => (false, reason.as_str()),
            (_, Some(summary)) if !summary.is_empty() => (true, summary.as_str()),
            _ if ended.status == "failed" => (false, "it gave no reason"),
            _ => (false, "it ended without a summary: its claude was closed or has crashed"),
        };
        println!("{text}");
        fs::write(&self.summary, text)?;
        Ok(good)
    }
}

impl LocalWorker {
    fn flags(&self) -> Vec<String> {
        vec![
            format!("--multiclaude={}", self.multiclaude.display()),
            format!("--nickname={}", self.nickname),
            format!("--name={}", self.name),
        ]
    }

    /// Removes a worker of multiclaude, with its uncommitted changes.
    ///
    /// # Errors
    /// multiclaude cannot be run.
    pub fn remove(&self) -> io::Result<()> {
        let mut command = Command::new(&self.multiclaude);
        command.args(["worker", "rm", &self.name, "--repo", &self.nickname]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        if let Some(mut answers) = child.stdin.take() {
            // It asks about uncommitted changes and unpushed commits.
            let _ = answers.write_all(b"y\ny\n");
        }
        child.wait().map(drop)
    }
}
