//! The input of an executor: a request, and the names and directories of its worker.

use crate::dirs::WorkerDirs;
use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;
use multiclaude_hybrid_client::protocol::{AgentName, SpawnId};

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

/// A worker's name on its machine: the end of its request's id.
pub fn local_name(id: &SpawnId) -> String {
    let id = id.as_str();
    format!("worker-{}", id.get(id.len().saturating_sub(8)..).unwrap_or(id))
}
