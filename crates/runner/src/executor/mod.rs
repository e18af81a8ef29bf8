//! The ways to run a worker: a process, a container, or a worker of multiclaude. Each
//! turns a request into a [`Job`]; everything else is the same for all.

mod container;
mod engine;
pub mod multiclaude;
mod process;
mod template;

pub use container::{Container, name as container_name};
pub use engine::{Engine, EngineError, failure as container_failure};
pub use multiclaude::Multiclaude;
pub use process::{Process, SOCKET_VARIABLE};
pub use template::{Template, TemplateError};

use crate::dirs::WorkerDirs;
use crate::job::{Job, User};
use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;
use multiclaude_hybrid_client::protocol::text::{is_blank, is_hidden};
use multiclaude_hybrid_client::protocol::{AgentName, SpawnId};
use std::time::Duration;

/// A worker is ended at most this long before the end of its lease.
const MARGIN_MAX: Duration = Duration::from_secs(2);
/// The most characters of a task's first line in an argument.
const LINE: usize = 200;
/// The controllers of control groups, and the limit that each enforces.
const LIMITS: [(&str, &str); 3] = [("memory", "memory"), ("cpu", "cpu"), ("pids", "processes")];

/// How to run workers.
#[derive(Debug, Clone)]
pub enum Executor {
    /// As processes of this machine.
    Process(Process),
    /// In containers.
    Container(Container),
    /// By the multiclaude of this machine.
    Multiclaude(Multiclaude),
}

/// A request to run, and the worker's name and directories.
#[derive(Debug)]
pub struct Assignment<'a> {
    /// The request.
    pub request: &'a SpawnRequest,
    /// The worker's registered name.
    pub name: &'a AgentName,
    /// The worker's directories, with the task in them.
    pub dirs: &'a WorkerDirs,
}

/// The limits of every worker.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long it may run, unless its request asks for less.
    pub timeout_secs: u64,
    /// Bytes of output that are kept.
    pub output: u64,
    /// Bytes that its directory may take.
    pub disk: u64,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

impl Limits {
    /// How long this request may run: the `timeout_secs` of its metadata, if that is less
    /// than the runner's limit.
    fn timeout_of(&self, request: &SpawnRequest) -> u64 {
        let asked = request.metadata.get("timeout_secs").and_then(|secs| secs.parse().ok());
        asked.map_or(self.timeout_secs, |asked: u64| asked.clamp(1, self.timeout_secs))
    }
}

impl Executor {
    /// `process`, `container` or `multiclaude`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Container(_) => "container",
            Self::Multiclaude(_) => "multiclaude",
        }
    }

    /// The worker's registered name.
    ///
    /// # Errors
    /// The name would not be valid.
    pub fn name(&self, id: &SpawnId, node: &str) -> Result<AgentName, String> {
        let local = local_name(id);
        match self {
            Self::Multiclaude(_) => AgentName::parse(&format!("{local}-{node}")),
            _ => AgentName::parse(&local),
        }
        .map_err(|error| format!("the name of a worker {error}"))
    }

    /// How long before the end of its lease a worker is ended if another runner may get its
    /// request: the lease began a little before its renewal was answered, and multiclaude
    /// takes a while to remove a worker.
    pub fn margin(&self, lease: Duration) -> Duration {
        match self {
            Self::Multiclaude(_) => lease / 3,
            _ => MARGIN_MAX.min(lease / 20),
        }
    }

    /// Does the runner register the worker? With multiclaude the bridge does.
    pub fn registers(&self) -> bool {
        !matches!(self, Self::Multiclaude(_))
    }

    /// The owner of the worker's own directory, if that is not the runner's user.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Process(process) => process.user.as_ref(),
            _ => None,
        }
    }

    /// The job for the supervisor.
    ///
    /// # Errors
    /// The reason why this request cannot be run, which is reported to its requester.
    pub fn job(&self, assignment: &Assignment<'_>, limits: &Limits) -> Result<Job, String> {
        match self {
            Self::Process(process) => process.job(assignment, limits),
            Self::Container(container) => container.job(assignment, limits),
            Self::Multiclaude(multiclaude) => multiclaude.job(assignment, limits),
        }
    }
}

/// A worker's name on its machine: the end of its request's id.
pub fn local_name(id: &SpawnId) -> String {
    let id = id.as_str();
    format!("worker-{}", id.get(id.len().saturating_sub(8)..).unwrap_or(id))
}

/// A task as an argument: its first line without control characters, and the path of the
/// whole task. It never starts with `-`.
pub fn task_argument(task: &str, file: &str) -> String {
    format!("{} (the whole task is in the file {file})", first_line(task))
}

/// The first line of a task that is not blank, without hidden characters.
pub fn first_line(task: &str) -> String {
    let line = task.lines().map(str::trim).find(|line| !is_blank(line)).unwrap_or_default();
    let line: String =
        line.chars().filter(|c| !is_hidden(*c) && !c.is_control()).take(LINE).collect();
    if line.starts_with('-') { format!("Task: {line}") } else { line }
}

/// The branches in a request's metadata: the one to start from, and the one to push to.
fn branches(request: &SpawnRequest) -> Result<(Option<&str>, Option<&str>), String> {
    let branch = |key: &str| match request.metadata.get(key).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(name) if is_branch(name) => Ok(Some(name)),
        Some(name) => Err(format!("{key}: {name:?} is not the name of a branch")),
    };
    Ok((branch("branch")?, branch("push_to")?))
}

/// Does git accept this name as a branch, and as nothing else?
fn is_branch(name: &str) -> bool {
    let bad =
        |c: char| is_hidden(c) || c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    name.len() <= 200
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains(bad)
        && !["..", "//", "@{", "/."].iter().any(|part| name.contains(part))
        && !name.split('/').any(|part| part.to_ascii_lowercase().ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_another_meaning_for_git_are_not_branches() {
        for good in ["main", "work/fox", "fix-1.2", "a/b_c", "müller"] {
            assert!(is_branch(good), "{good}");
        }
        for bad in
            ["-f", "--upload-pack=x", "a..b", "a b", "a\n", "x~1", "refs:x", "/a", "a/", "a.lock"]
        {
            assert!(!is_branch(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_argument_of_any_task_is_one_clean_line_and_no_flag(task in "\\PC*|[\u{0}-\u{7f}]*") {
            let argument = task_argument(&task, "/w/task.md");
            prop_assert!(!argument.starts_with('-'));
            prop_assert!(!argument.chars().any(char::is_control));
            prop_assert!(argument.chars().count() < 300);
        }
    }
}
