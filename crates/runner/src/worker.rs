//! The life of one worker, from its claim to its report.
//!
//! | step | files on disk afterwards |
//! |---|---|
//! | claimed | `worker.json` |
//! | registered, and its name accepted by the coordinator | |
//! | started: its supervisor runs | `started.json` |
//! | ended | `end.json` |
//! | reported | none |
//!
//! Each step may be repeated after a crash, except the start: the worker's lock and
//! `started.json` show whether it was started.

mod report;
mod start;

use crate::deadline::Moment;
use crate::dirs::WorkerDirs;
use crate::executor::{Executor, container_name};
use crate::job::{self, End, Job, Started, Stop};
use crate::shared::{Phase, Shared};
use crate::source::Source;
use crate::supervisor::{self, Group};
use multiclaude_hybrid_bridge::abort::AbortOnDrop;
use multiclaude_hybrid_bridge::dirs::try_lock;
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_bridge::trouble::Trouble;
use multiclaude_hybrid_client::RepoClient;
use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;
use multiclaude_hybrid_client::protocol::{AgentName, SpawnId};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

/// The wait before a failed operation on this machine is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A claim, as it is on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The request.
    pub request: SpawnRequest,
    /// The token that fences every update.
    pub lease_token: String,
    /// The worker's registered name, once it has one.
    pub name: Option<AgentName>,
}

/// The stage of a worker, for `runner status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being registered and started.
    Starting,
    /// Its supervisor runs.
    Running,
    /// It has ended, and its end is being reported.
    Reporting,
}

/// A worker of this runner.
#[derive(Debug)]
pub struct Worker {
    /// The request's id.
    pub id: SpawnId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) source: Arc<Source>,
    pub(crate) dirs: WorkerDirs,
    pub(crate) lease_token: String,
    record: Mutex<Record>,
    stage: Mutex<Stage>,
    /// The log that was last reported to the coordinator.
    pub(crate) reported: Mutex<String>,
    pub(crate) trouble: Trouble,
    orders: watch::Sender<Option<Stop>>,
    pub(crate) since: Moment,
}

/// How a worker's time here ended.
enum Outcome {
    Ended(End),
    /// It never ran: give the request back.
    NotStarted,
}

/// The state of a worker on disk.
enum Found {
    NotStarted(File),
    Running,
    /// Its supervisor was killed.
    Lost,
    Ended(End),
}

impl Worker {
    /// The worker of a claim that is on disk; `None` if its repo is not served.
    pub fn new(shared: Arc<Shared>, record: Record) -> Option<Arc<Self>> {
        let id = record.request.id.clone();
        Some(Arc::new(Self {
            source: Arc::clone(shared.source(&record.request.repo)?),
            dirs: shared.dirs.worker(&id),
            id,
            shared,
            lease_token: record.lease_token.clone(),
            record: Mutex::new(record),
            stage: Mutex::new(Stage::Starting),
            reported: Mutex::default(),
            trouble: Trouble::new(
                "a worker cannot be reported to the coordinator",
                "the worker is reported to the coordinator again",
            ),
            orders: watch::Sender::new(None),
            since: Moment::now(),
        }))
    }

    /// The claim, as it is on disk.
    pub fn record(&self) -> Record {
        locked(&self.record).clone()
    }

    /// The stage, for `runner status`.
    pub fn stage(&self) -> Stage {
        *locked(&self.stage)
    }

    fn set_stage(&self, stage: Stage) {
        *locked(&self.stage) = stage;
    }

    pub(crate) fn client(&self) -> &RepoClient {
        &self.source.client
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.shared.options.executor
    }

    /// Orders the worker to stop. Only the first order counts.
    pub(crate) fn order(&self, stop: Stop) {
        self.orders.send_if_modified(|order| {
            let first = order.is_none();
            order.get_or_insert(stop);
            first
        });
    }

    /// Runs the worker to its end, and reports it. The slot becomes free as soon as the end
    /// is on disk; it is `None` for a worker beyond the number that may run.
    pub async fn run(self: Arc<Self>, slot: Option<OwnedSemaphorePermit>) {
        let outcome = {
            let renewing = tokio::spawn({
                let worker = Arc::clone(&self);
                async move { worker.renew().await }
            });
            let _renewing = AbortOnDrop(renewing);
            self.run_to_end().await
        };
        drop(slot);
        self.set_stage(Stage::Reporting);
        match outcome {
            Outcome::Ended(end) => self.report(&end).await,
            Outcome::NotStarted => self.give_back().await,
        }
        self.deregister().await;
        self.remove().await;
    }

    async fn run_to_end(self: &Arc<Self>) -> Outcome {
        let mut tries = 0;
        let found = loop {
            match self.inspect() {
                Ok(found) => break found,
                // It may be running, so nothing is reported before that is known.
                Err(error) => warn!(id = %self.id, %error, "a worker's directory cannot be read"),
            }
            tries += 1;
            self.shared.back_off(tries, None).await;
        };
        match found {
            Found::Ended(end) => return Outcome::Ended(end),
            Found::Lost => return Outcome::Ended(self.recover_end().await),
            Found::Running => {
                info!(id = %self.id, "a worker of an earlier runner is followed");
                self.set_stage(Stage::Running);
            }
            Found::NotStarted(lock) => match self.start(lock).await {
                Ok(true) => {}
                Ok(false) => return Outcome::NotStarted,
                // No step has run.
                Err(error) => {
                    let error = format!("the worker cannot be started: {error}");
                    return Outcome::Ended(End::failed(error));
                }
            },
        }
        Outcome::Ended(self.follow().await)
    }

    /// Finds out how far an earlier runner has come with it.
    fn inspect(&self) -> io::Result<Found> {
        if let Some(end) = job::read(&self.dirs.end())? {
            return Ok(Found::Ended(end));
        }
        match try_lock(&self.dirs.lock())? {
            None => Ok(Found::Running),
            Some(_) if self.dirs.started().try_exists()? => Ok(Found::Lost),
            Some(lock) => Ok(Found::NotStarted(lock)),
        }
    }

    /// Waits for the supervisor's end, and forwards orders to it.
    async fn follow(self: &Arc<Self>) -> End {
        let _socket = if self.executor().registers() {
            match self.serve_socket() {
                Ok(task) => Some(AbortOnDrop(task)),
                Err(error) => {
                    warn!(id = %self.id, %error, "the worker has no socket");
                    None
                }
            }
        } else {
            None
        };
        let mut ended = std::pin::pin!(self.supervisor_ends());
        let mut orders = self.orders.subscribe();
        let mut phase = self.shared.phase();
        let mut ordered = None;
        loop {
            let order = *orders.borrow_and_update();
            let order =
                order.or((*phase.borrow_and_update() == Phase::Stopping).then_some(Stop::Drained));
            if let Some(stop) = order
                && ordered != Some(stop)
            {
                match job::write_stop(&self.dirs.stop(), stop) {
                    Ok(()) => {
                        info!(id = %self.id, ?stop, "a worker is being stopped");
                        ordered = Some(stop);
                    }
                    Err(error) => warn!(id = %self.id, %error, "a worker cannot be stopped yet"),
                }
            }
            let again = order.is_some() && ordered.is_none();
            tokio::select! {
                () = &mut ended => break,
                Ok(()) = orders.changed() => {}
                Ok(()) = phase.changed() => {}
                () = sleep(AGAIN), if again => {}
            }
        }
        self.recover_end().await
    }

    /// Waits until no supervisor runs. A thread waits for the lock, which is free as soon as
    /// the supervisor has ended.
    async fn supervisor_ends(&self) {
        loop {
            let path = self.dirs.lock();
            match spawn_blocking(move || File::open(path)?.lock_shared()).await {
                Ok(Ok(())) => return,
                // Its directory was removed, which ends the supervisor, too.
                Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return,
                failed => warn!(id = %self.id, ?failed, "a worker's lock cannot be waited for"),
            }
            sleep(AGAIN).await;
        }
    }

    /// The end that the supervisor wrote. If it was killed before, cleans up and writes the
    /// end instead.
    async fn recover_end(&self) -> End {
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
            // podman's monitor of a container has its name, but not our variables.
            let name = container_name(id.as_str());
            let clean = || job.as_ref().is_none_or(supervisor::clean_up);
            clean();
            // An engine that was still starting a container may create it after the cleanup.
            let is_swept = !supervisor::kill_marked(&mark, &name, group.as_ref());
            let remain = !clean() || !is_swept;
            if let Some(group) = group {
                group.remove();
            }
            let log = fs::read_to_string(dirs.root().join("supervisor.log")).unwrap_or_default();
            let end = End {
                remaining: u64::from(remain),
                ..End::failed(match log.lines().last() {
                    Some(line) => format!("its supervisor failed: {line}"),
                    None => "its supervisor was killed, or the machine was rebooted".to_owned(),
                })
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

    /// Its supervisor; `None` before its start.
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
