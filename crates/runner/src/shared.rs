//! State that all parts of a runner share: options, files, repos, phase.

use crate::dirs::Dirs;
use crate::listener::Pushes;
use crate::options::Options;
use crate::source::Source;
use multiclaude_hybrid_bridge::clock;
use multiclaude_hybrid_client::Retries;
use multiclaude_hybrid_client::protocol::Repo;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

/// The waits between two attempts of a call.
const TRIES: Retries = Retries {
    attempts: u32::MAX,
    first: Duration::from_millis(250),
    longest: Duration::from_secs(15),
};

/// The phases of a runner's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It claims requests.
    Running,
    /// It claims nothing; its workers go on.
    Draining,
    /// It stops its workers.
    Stopping,
}

/// State that all parts of a runner share.
#[derive(Debug)]
pub struct Shared {
    /// The options of `runner run`.
    pub options: Options,
    /// The runner's files.
    pub dirs: Dirs,
    /// One permit for each worker that may run.
    pub slots: Arc<Semaphore>,
    /// The repos that it serves.
    pub sources: Vec<Arc<Source>>,
    pushes: Option<Arc<Pushes>>,
    phase: watch::Sender<Phase>,
    /// When it was started, in milliseconds since the epoch.
    pub started_ms: i64,
}

impl Shared {
    /// The state of a runner that has just started.
    pub fn new(
        options: Options,
        dirs: Dirs,
        sources: Vec<Arc<Source>>,
        pushes: Option<Arc<Pushes>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(options.max_workers)),
            dirs,
            sources,
            pushes,
            phase: watch::Sender::new(Phase::Running),
            started_ms: clock::wall_ms(),
            options,
        })
    }

    /// Enters a later phase.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// The phase, and its changes.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Waits until the runner drains.
    pub async fn draining(&self) {
        let _ = self.phase().wait_for(|phase| *phase != Phase::Running).await;
    }

    /// A repo that is served.
    pub fn source(&self, repo: &Repo) -> Option<&Arc<Source>> {
        self.sources.iter().find(|source| source.repo == *repo)
    }

    /// Are this repo's requests pushed to this runner?
    pub fn is_pushed(&self, source: &Source) -> bool {
        self.pushes.as_ref().is_some_and(|pushes| pushes.are_enabled_for(&source.repo))
    }

    /// The receiver of pushes, if there is a listener.
    pub fn pushes(&self) -> Option<&Arc<Pushes>> {
        self.pushes.as_ref()
    }

    /// Waits before attempt number `tries` + 1, at least for as long as the coordinator
    /// asks.
    pub async fn back_off(&self, tries: u32, retry_after: Option<Duration>) {
        sleep(TRIES.wait(tries, fastrand::f64()).max(retry_after.unwrap_or_default())).await;
    }
}
