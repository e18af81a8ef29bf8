//! The life of one worker, from its claim to its report.
//!
//! | step | what is on disk afterwards |
//! |---|---|
//! | claimed | `worker.json` |
//! | registered, and its name accepted by the coordinator | |
//! | started: its supervisor runs | `started.json` |
//! | ended | `end.json` |
//! | reported | nothing |
//!
//! Each step may be repeated after a crash, except the start: the worker's lock and
//! `started.json` tell whether it was started.

mod report;
mod start;

use crate::deadline::Moment;
use crate::dirs::{WorkerDirs, try_lock};
use crate::executor::Executor;
use crate::job::{self, End, Job, Started, Stop};
use crate::shared::{Phase, Shared};
use crate::socket;
use crate::supervisor::{self, Group};
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_bridge::trouble::Trouble;
use multiclaude_hybrid_client::RepoClient;
use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;
use multiclaude_hybrid_client::protocol::{AgentName, SpawnId};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tracing::{error, info, warn};

/// A claim, as it is on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The request.
    pub request: SpawnRequest,
    /// What every update is fenced by.
    pub lease_token: String,
    /// The worker's registered name, once it has one.
    pub name: Option<AgentName>,
}

/// How far a worker has come, for `runner status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being registered and started.
    Starting,
    /// Its supervisor runs.
    Running,
    /// It has ended; the coordinator does not know that yet.
    Reporting,
}

/// A worker of this runner.
#[derive(Debug)]
pub struct Worker {
    /// The request's id.
    pub id: SpawnId,
    pub(crate) shared: Arc<Shared>,
    client: RepoClient,
    pub(crate) dirs: WorkerDirs,
    pub(crate) lease_token: String,
    record: Mutex<Record>,
    stage: Mutex<Stage>,
    /// When the lease was last asked for, and when it ends.
    pub(crate) renewed: Mutex<Option<(Moment, Moment)>>,
    /// The log that the coordinator has.
    pub(crate) reported: Mutex<String>,
    pub(crate) trouble: Trouble,
    orders: watch::Sender<Option<Stop>>,
    pub(crate) since: Moment,
}

/// How a worker's time here ended.
enum Outcome {
    Ended(End),
    /// It never ran: the request goes back.
    NotStarted,
}

struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Worker {
    /// The worker of a claim that is on disk; nothing if its repo is not served.
    pub fn new(shared: Arc<Shared>, record: Record) -> Option<Arc<Self>> {
        let id = record.request.id.clone();
        Some(Arc::new(Self {
            client: shared.client(&record.request.repo)?.clone(),
            dirs: shared.dirs.worker(&id),
            id,
            shared,
            lease_token: record.lease_token.clone(),
            record: Mutex::new(record),
            stage: Mutex::new(Stage::Starting),
            renewed: Mutex::default(),
            reported: Mutex::default(),
            trouble: Trouble::new(
                "the coordinator cannot be told about a worker",
                "the coordinator hears of the worker again",
            ),
            orders: watch::Sender::new(None),
            since: Moment::now(),
        }))
    }

    /// The claim.
    pub fn record(&self) -> Record {
        locked(&self.record).clone()
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        *locked(&self.stage)
    }

    fn set_stage(&self, stage: Stage) {
        *locked(&self.stage) = stage;
    }

    pub(crate) fn client(&self) -> &RepoClient {
        &self.client
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.shared.options.executor
    }

    /// Orders the worker to stop. The first order counts.
    pub(crate) fn order(&self, stop: Stop) {
        self.orders.send_if_modified(|order| {
            let first = order.is_none();
            order.get_or_insert(stop);
            first
        });
    }

    /// Lives to the end, and reports it. The slot is free as soon as the end is on
    /// disk; `None` for a worker beyond the number that may run.
    pub async fn live(self: Arc<Self>, slot: Option<OwnedSemaphorePermit>) {
        let outcome = {
            let renewing = tokio::spawn({
                let worker = Arc::clone(&self);
                async move { worker.renew().await }
            });
            let _renewing = Abort(renewing.abort_handle());
            self.to_its_end().await
        };
        drop(slot);
        self.shared.touch();
        self.set_stage(Stage::Reporting);
        match outcome {
            Outcome::Ended(end) => self.report(&end).await,
            Outcome::NotStarted => self.give_back().await,
        }
        self.deregister().await;
        self.remove().await;
        self.shared.forget(&self.id);
    }

    async fn to_its_end(self: &Arc<Self>) -> Outcome {
        match self.resume_or_start().await {
            Ok(outcome) => outcome,
            // A disk that is full or gone; nothing of it has run.
            Err(error) => {
                Outcome::Ended(End::failed(format!("the worker cannot be started: {error}")))
            }
        }
    }

    async fn resume_or_start(self: &Arc<Self>) -> io::Result<Outcome> {
        if let Some(end) = job::read(&self.dirs.end())? {
            return Ok(Outcome::Ended(end));
        }
        match try_lock(&self.dirs.lock())? {
            None => {
                info!(id = %self.id, "a worker of an earlier runner is followed");
                self.set_stage(Stage::Running);
            }
            Some(_lock) if self.dirs.started().exists() => {
                return Ok(Outcome::Ended(self.lost().await));
            }
            Some(lock) => {
                if !self.start(lock).await? {
                    return Ok(Outcome::NotStarted);
                }
            }
        }
        self.follow().await.map(Outcome::Ended)
    }

    /// Waits for the supervisor's end, and passes orders on to it.
    async fn follow(self: &Arc<Self>) -> io::Result<End> {
        let _socket = if self.executor().registers() {
            match socket::serve(Arc::clone(self)) {
                Ok(task) => Some(Abort(task.abort_handle())),
                Err(error) => {
                    warn!(id = %self.id, %error, "the worker has no socket");
                    None
                }
            }
        } else {
            None
        };
        let path = self.dirs.lock();
        // A thread waits: the lock is free in the instant in which the supervisor ends.
        let mut ended = spawn_blocking(move || File::open(path)?.lock_shared());
        let mut orders = self.orders.subscribe();
        let mut phase = self.shared.phase();
        let mut ordered = None;
        loop {
            let order = *orders.borrow_and_update();
            let order =
                order.or((*phase.borrow_and_update() == Phase::Stopping).then_some(Stop::Drained));
            if ordered.is_none()
                && let Some(stop) = order
            {
                info!(id = %self.id, ?stop, "a worker is being stopped");
                job::write(&self.dirs.stop(), &stop)?;
                ordered = Some(stop);
            }
            tokio::select! {
                done = &mut ended => {
                    done.map_err(io::Error::other)??;
                    break;
                }
                Ok(()) = orders.changed() => {}
                Ok(()) = phase.changed() => {}
            }
        }
        match job::read(&self.dirs.end())? {
            Some(end) => Ok(end),
            None => Ok(self.lost().await),
        }
    }

    /// Cleans up after a supervisor that was killed, and writes the end in its place.
    async fn lost(&self) -> End {
        // It may have written it just before.
        if let Ok(Some(end)) = job::read::<End>(&self.dirs.end()) {
            return end;
        }
        warn!(id = %self.id, "the supervisor of a worker was killed");
        let (dirs, id) = (self.dirs.clone(), self.id.clone());
        let cleaned = spawn_blocking(move || {
            let job: Option<Job> = job::read(&dirs.job()).unwrap_or_default();
            let group = job.as_ref().and_then(|job| job.cgroup.as_ref());
            let group = group.map(|group| Group::at(&group.path));
            let mark = format!("MULTICLAUDE_HYBRID_WORKER={id}");
            // An engine that still starts a container would create it after its removal.
            supervisor::sweep(&mark, group.as_ref());
            let is_clean = job.as_ref().is_none_or(supervisor::clean_up);
            let remain = supervisor::sweep(&mark, group.as_ref()) || !is_clean;
            if let Some(group) = group {
                group.remove();
            }
            let end = End {
                remaining: u64::from(remain),
                ..End::failed("its supervisor was killed, or the machine was started again")
            };
            job::write(&dirs.end(), &end).map(|()| end)
        });
        match cleaned.await {
            Ok(Ok(end)) => end,
            failed => {
                error!(id = %self.id, ?failed, "the end of a worker cannot be written");
                End::failed("its supervisor was killed")
            }
        }
    }

    /// Who supervises it; nothing before its start.
    pub(crate) fn supervisor(&self) -> Option<Started> {
        job::read(&self.dirs.started()).unwrap_or_default()
    }

    async fn remove(&self) {
        let (dirs, keep) = (self.dirs.clone(), self.shared.options.keep_work);
        let removed = spawn_blocking(move || dirs.remove(keep)).await;
        if let Ok(Err(error)) = removed {
            warn!(id = %self.id, %error, "the directory of a worker cannot be removed");
        }
    }
}
