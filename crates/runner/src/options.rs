//! Options of a runner, and errors of its start.

use crate::executor::{Executor, Limits};
use multiclaude_hybrid_client::RepoClient;
use multiclaude_hybrid_client::protocol::Repo;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A repo to serve.
#[derive(Debug, Clone)]
pub struct Served {
    /// `owner/repo`.
    pub repo: Repo,
    /// Makes calls with a token of this machine.
    pub client: RepoClient,
    /// Must this machine encrypt everything that it sends? Workers cannot: they send
    /// nothing then.
    pub require_encryption: bool,
}

/// How a runner runs.
#[derive(Debug)]
pub struct Options {
    /// The user's home.
    pub home: PathBuf,
    /// The place for the workers' own directories, if not in the home.
    pub work: Option<PathBuf>,
    /// The repos to serve.
    pub repos: Vec<Served>,
    /// How to run workers.
    pub executor: Executor,
    /// The limits of each worker.
    pub limits: Limits,
    /// How many workers run at a time.
    pub max_workers: usize,
    /// The labels that requests may ask for.
    pub labels: Vec<String>,
    /// How long a lease lasts.
    pub lease_secs: i64,
    /// The wait after a claim that got no request.
    pub poll: Duration,
    /// The address to receive pushes on, and the URL by which the coordinator reaches it.
    pub listen: Option<(SocketAddr, String)>,
    /// The label of this machine.
    pub node: String,
    /// How long workers may go on after SIGTERM.
    pub drain: Duration,
    /// Keep the workers' directories after their end?
    pub keep_work: bool,
    /// Divides the coordinator's times, for tests.
    pub scale: u32,
}

impl Options {
    /// This many seconds of the coordinator's clock.
    pub fn secs(&self, secs: u64) -> Duration {
        Duration::from_secs(secs) / self.scale.max(1)
    }
}

/// Why a runner cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one is running.
    #[error("a runner of this home is running already")]
    Running,
    /// Its directories cannot be used.
    #[error("the runner's directories cannot be used: {0}")]
    Dirs(#[from] io::Error),
    /// It cannot listen for pushes.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The given address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
}
