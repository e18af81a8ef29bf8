//! The ways to run a worker: a process, a container, or a worker of multiclaude. Each
//! turns a request into a [`Job`]; everything else is the same for all.

mod assignment;
mod branches;
mod container;
mod engine;
mod limits;
pub mod multiclaude;
mod process;
mod task;
mod template;

pub use assignment::{Assignment, local_name};
pub use container::{Container, name as container_name};
pub use engine::{Engine, EngineError, failure as container_failure};
pub use limits::Limits;
pub use multiclaude::Multiclaude;
pub use process::{Process, SOCKET_VARIABLE};
pub use task::{first_line, task_argument};
pub use template::{Template, TemplateError};

use crate::job::{Job, User};
use multiclaude_hybrid_client::protocol::{AgentName, SpawnId};
use std::time::Duration;

/// A worker is ended at most this long before the end of its lease.
const MARGIN_MAX: Duration = Duration::from_secs(2);

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
