//! Workers as processes of this machine. Each runs in its own directory and session, with
//! only the allowed variables in its environment.
//!
//! Only the user that they run as separates them from the runner's token: as the runner's
//! own user they can read everything that this user can.

use super::branches::branches;
use super::limits::LIMITS;
use super::{Assignment, Limits, Template, task_argument};
use crate::job::{Cgroup, Job, Step, User};
use crate::supervisor::Base;
use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// The variable with the path of the socket through which a worker sends and receives.
pub const SOCKET_VARIABLE: &str = "MULTICLAUDE_HYBRID_SOCKET";
/// Variables that every worker gets.
const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TERM", "SSH_AUTH_SOCK"];

/// How to run processes.
#[derive(Debug, Clone)]
pub struct Process {
    /// The command to run; `claude -p` in a clone, if absent.
    pub command: Option<Template>,
    /// Is the repo cloned for `command`, too? Then it runs in the clone.
    pub clone: bool,
    /// The URL to clone from: `{repo}` stands for `owner/repo`.
    pub clone_url: String,
    /// Variables that workers get in addition to the usual ones.
    pub inherited: Vec<String>,
    /// The user to run workers as, if not the runner's.
    pub user: Option<User>,
    /// The parent of the workers' control groups, where they can be made.
    pub base: Option<Base>,
    /// The path of this program, for the MCP server of the worker's claude.
    pub program: PathBuf,
}

impl Process {
    pub(super) fn job(&self, given: &Assignment<'_>, limits: &Limits) -> Result<Job, String> {
        let (request, work) = (given.request, given.dirs.files());
        let (_, push_to) = branches(request)?;
        let branch = push_to.map_or_else(|| format!("work/{}", given.name), str::to_owned);
        let values = values(given, &branch);
        let dir =
            if self.clone || self.command.is_none() { work.join("repo") } else { work.clone() };
        let mut steps = Vec::new();
        if dir != work {
            steps = clone(&self.clone_url, request, &work, &branch)?;
        }
        let command = match &self.command {
            Some(template) => template.fill(&values),
            None => self.claude(given, &branch)?,
        };
        steps.push(Step { command, dir });
        let mut inherited: Vec<String> = INHERITED.map(str::to_owned).to_vec();
        inherited.extend(self.inherited.iter().cloned());
        let id = request.id.as_str();
        let can = |controller| self.base.as_ref().is_some_and(|base| base.limits(controller));
        let group = self.base.as_ref().map(|base| Cgroup {
            path: base.group(id),
            memory: limits.memory.filter(|_| can("memory")),
            cpu_milli: limits.cpu_milli.filter(|_| can("cpu")),
            processes: limits.processes.filter(|_| can("pids")),
        });
        let mut not_enforced = LIMITS.to_vec();
        not_enforced.retain(|(controller, _)| !can(controller));
        Ok(Job {
            id: id.to_owned(),
            work: work.clone(),
            steps,
            cleanup: Vec::new(),
            inherited: Some(inherited),
            set: variables(given, given.dirs.given(), &work),
            timeout_secs: limits.timeout_of(request),
            output_max: limits.output,
            disk_max: limits.disk,
            ends_with_lease: request.retry,
            cgroup: group,
            not_enforced: not_enforced.iter().map(|(_, name)| (*name).to_owned()).collect(),
            engine: None,
            user: self.user.clone(),
        })
    }

    fn claude(&self, given: &Assignment<'_>, branch: &str) -> Result<Vec<String>, String> {
        let path = given.dirs.given().join("mcp.json");
        let server = json!({ "command": self.program, "args": ["mcp"] });
        let servers = json!({ "mcpServers": { "multiclaude-hybrid": server } });
        let user = self.user.as_ref();
        fs::write(&path, servers.to_string())
            .and_then(|()| user.map_or(Ok(()), |user| chown(&path, Some(user.uid), Some(user.gid))))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        let task = task_argument(&given.request.task, &given.dirs.task().to_string_lossy());
        let prompt = format!(
            "You are {name}, a worker for {repo} on a machine of its own. Your task: {task}. Read that file before you begin. \
             You are in a fresh clone, on the branch {branch}: commit your work, and push it with `git push -u \
             origin HEAD`. Other agents can write to you: look at the tool list_messages now and then and before \
             you finish, answer with send_message, and acknowledge with ack_message. At the end, write what you \
             did and where to find it into the file {summary}.",
            name = given.name,
            repo = given.request.repo,
            summary = given.dirs.summary().display(),
        );
        let path = path.to_string_lossy().into_owned();
        let command =
            ["claude", "-p", &prompt, "--mcp-config", &path, "--dangerously-skip-permissions"];
        Ok(command.map(str::to_owned).to_vec())
    }
}

/// The values of a template's placeholders.
pub(super) fn values(given: &Assignment<'_>, branch: &str) -> BTreeMap<&'static str, String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let start = given.request.metadata.get("branch").cloned().unwrap_or_default();
    let file = text(given.dirs.task());
    BTreeMap::from([
        ("task", task_argument(&given.request.task, &file)),
        ("task_file", file),
        ("summary_file", text(given.dirs.summary())),
        ("name", given.name.to_string()),
        ("id", given.request.id.to_string()),
        ("repo", given.request.repo.to_string()),
        ("branch", start),
        ("push_to", branch.to_owned()),
        ("work", text(given.dirs.files())),
        ("socket", text(given.dirs.socket())),
    ])
}

/// The variables that describe a worker to itself, with its input in `here` and its own
/// directory in `work`.
pub(super) fn variables(
    given: &Assignment<'_>,
    here: &Path,
    work: &Path,
) -> BTreeMap<String, String> {
    let file = |dir: &Path, name: &str| dir.join(name).to_string_lossy().into_owned();
    [
        (SOCKET_VARIABLE, file(here, "socket")),
        ("MULTICLAUDE_HYBRID_TASK_FILE", file(here, "task.md")),
        ("MULTICLAUDE_HYBRID_SUMMARY_FILE", file(work, "summary.md")),
        ("MULTICLAUDE_HYBRID_NAME", given.name.to_string()),
        ("MULTICLAUDE_HYBRID_REPO", given.request.repo.to_string()),
        ("MULTICLAUDE_HYBRID_WORKER", given.request.id.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn clone(
    url: &str,
    request: &SpawnRequest,
    work: &Path,
    branch: &str,
) -> Result<Vec<Step>, String> {
    let (start, _) = branches(request)?;
    let url = url.replace("{repo}", request.repo.as_str());
    let mut clone = ["git", "clone", "--quiet"].map(str::to_owned).to_vec();
    clone.extend(start.map(|start| format!("--branch={start}")));
    clone.extend(["--".to_owned(), url, "repo".to_owned()]);
    let switch = ["git", "switch", "--quiet", "-C", branch].map(str::to_owned).to_vec();
    Ok(vec![
        Step { command: clone, dir: work.to_owned() },
        Step { command: switch, dir: work.join("repo") },
    ])
}
