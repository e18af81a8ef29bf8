//! State that all parts of a runner share: options, files, workers.

use crate::claims::Source;
use crate::dirs::Dirs;
use crate::listener::Pushes;
use crate::run::Options;
use crate::status::Status;
use crate::worker::Worker;
use multiclaude_hybrid_bridge::clock;
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_client::protocol::{Repo, SpawnId};
use multiclaude_hybrid_client::{RepoClient, Retries};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
    workers: Mutex<BTreeMap<SpawnId, Arc<Worker>>>,
    changed: watch::Sender<()>,
    phase: watch::Sender<Phase>,
    /// When it was started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// The status that is on disk.
    pub(crate) written: Mutex<Option<Status>>,
}

impl Shared {
    /// The state of a runner that has no workers yet.
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
            workers: Mutex::default(),
            changed: watch::Sender::new(()),
            phase: watch::Sender::new(Phase::Running),
            started_ms: clock::wall_ms(),
            written: Mutex::default(),
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

    /// The client for a repo; `None` if it is not served.
    pub fn client(&self, repo: &Repo) -> Option<&RepoClient> {
        let source = self.sources.iter().find(|source| source.repo == *repo);
        source.map(|source| &source.client)
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

    /// The worker of a request, if this runner has one.
    pub fn worker(&self, id: &SpawnId) -> Option<Arc<Worker>> {
        locked(&self.workers).get(id).cloned()
    }

    /// Waits until this runner has no worker for a request.
    pub async fn wait_until_gone(&self, id: &SpawnId) {
        let mut changed = self.changed.subscribe();
        while self.worker(id).is_some() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Adds a worker and runs it to its end.
    pub fn live(&self, worker: Arc<Worker>, slot: Option<OwnedSemaphorePermit>) {
        locked(&self.workers).insert(worker.id.clone(), Arc::clone(&worker));
        self.changed.send_replace(());
        tokio::spawn(worker.live(slot));
    }

    /// Removes a worker that has ended and was reported.
    pub fn forget(&self, id: &SpawnId) {
        locked(&self.workers).remove(id);
        self.changed.send_replace(());
    }

    /// Notes a change that the status shows.
    pub fn touch(&self) {
        self.changed.send_replace(());
    }

    /// All workers of this runner.
    pub fn all(&self) -> Vec<Arc<Worker>> {
        locked(&self.workers).values().cloned().collect()
    }

    /// Waits until there are no workers.
    pub async fn wait_until_idle(&self) {
        let mut changed = self.changed.subscribe();
        while !locked(&self.workers).is_empty() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}
