//! The content of `runner status`, which the running runner writes to a file.

use crate::executor::first_line;
use crate::shared::Phase;
use crate::source::Source;
use crate::worker::{Stage, Worker};
use crate::workers::Workers;
use multiclaude_hybrid_bridge::clock;
use multiclaude_hybrid_bridge::dirs::write_durably;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The shortest wait between two writes.
const TICK: Duration = Duration::from_millis(500);

/// The state of a running runner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The id of its process.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// When it was started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// The label of this machine.
    pub node: String,
    /// `process`, `container` or `multiclaude`.
    pub executor: String,
    /// How many workers may run.
    pub max_workers: usize,
    /// The labels that requests may ask for.
    pub labels: Vec<String>,
    /// Is nothing claimed, until `runner resume`?
    pub paused: bool,
    /// Is it draining?
    pub draining: bool,
    /// The address that receives pushes.
    pub listening: Option<String>,
    /// Limits that this machine does not enforce for the executor.
    pub not_enforced: Vec<String>,
    /// The repos that it serves.
    pub repos: Vec<RepoStatus>,
    /// Its workers.
    pub workers: Vec<WorkerStatus>,
}

/// A repo that is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoStatus {
    /// `owner/repo`.
    pub repo: String,
    /// Why nothing can be claimed, if so.
    pub error: Option<String>,
    /// Why requests are not pushed, if so.
    pub pushes: Option<String>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The request's id.
    pub id: String,
    /// `owner/repo`.
    pub repo: String,
    /// Its registered name.
    pub name: Option<String>,
    /// Its stage.
    pub stage: Stage,
    /// The beginning of its task.
    pub task: String,
    /// When it was claimed or taken over, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Why its reports do not reach the coordinator, if so.
    pub error: Option<String>,
}

/// Writes the status whenever it has changed.
pub(crate) async fn keep_written(workers: Arc<Workers>) {
    let mut written = None;
    loop {
        write_status(&workers, &mut written);
        sleep(TICK).await;
    }
}

/// Writes the status, unless it is the one that was `written` last.
pub(crate) fn write_status(workers: &Workers, written: &mut Option<Status>) {
    let status = status(workers);
    if written.as_ref() == Some(&status) {
        return;
    }
    let text = serde_json::to_vec_pretty(&status).unwrap_or_default();
    if write_durably(&workers.shared.dirs.status(), &text, 0o600).is_ok() {
        *written = Some(status);
    }
}

fn status(workers: &Workers) -> Status {
    let (shared, options) = (&workers.shared, &workers.shared.options);
    let now = clock::wall_ms();
    let repo = |source: &Arc<Source>| RepoStatus {
        repo: source.repo.to_string(),
        error: source.trouble.reason(),
        pushes: source.pushes.reason(),
    };
    let worker = |worker: &Arc<Worker>| {
        let record = worker.record();
        WorkerStatus {
            id: worker.id.to_string(),
            repo: record.request.repo.to_string(),
            name: record.name.map(|name| name.to_string()),
            stage: worker.stage(),
            task: first_line(&record.request.task),
            // Rounded to the second, because it is computed each time.
            since_ms: (now - i64::try_from(worker.since.ago().as_millis()).unwrap_or_default())
                .div_euclid(1000)
                * 1000,
            error: worker.trouble.reason(),
        }
    };
    let all = workers.all();
    let mut not_enforced: Vec<_> = all
        .iter()
        .filter_map(|worker| worker.supervisor())
        .flat_map(|started| started.not_enforced)
        .collect();
    not_enforced.sort();
    not_enforced.dedup();
    Status {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: shared.started_ms,
        node: options.node.clone(),
        executor: options.executor.kind().to_owned(),
        max_workers: options.max_workers,
        labels: options.labels.clone(),
        paused: shared.dirs.paused().exists(),
        draining: *shared.phase().borrow() != Phase::Running,
        listening: options.listen.as_ref().map(|(address, _)| address.to_string()),
        not_enforced,
        repos: shared.sources.iter().map(repo).collect(),
        workers: all.iter().map(worker).collect(),
    }
}
