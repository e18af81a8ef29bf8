//! From a claim to a running supervisor.

use super::{Record, Stage, Worker};
use crate::executor::{Assignment, first_line};
use crate::job::{self, End, Job, Stop, reserve_stop};
use crate::lease::{Answer, may_succeed_later};
use crate::shared::Phase;
use multiclaude_hybrid_bridge::dirs::{make_dir, write_durably};
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::agent::{Location, Registration};
use multiclaude_hybrid_client::protocol::spawn::WorkerUpdate;
use multiclaude_hybrid_client::protocol::{AgentName, ErrorCode};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tracing::info;

/// How many longer names are tried if a worker's name is taken.
const NAMES: usize = 3;

impl Worker {
    /// Starts the worker; returns whether it runs. `lock` is the worker's, which its
    /// supervisor inherits.
    pub(super) async fn start(self: &Arc<Self>, lock: File) -> io::Result<bool> {
        // After this no other runner gets the request before the lease ends.
        if !self.prepare().await? || self.is_unwanted() {
            return Ok(false);
        }
        let worker = Arc::clone(self);
        spawn_blocking(move || worker.spawn(lock)).await.map_err(io::Error::other)??;
        self.set_stage(Stage::Running);
        let record = self.record();
        let name = record.name.as_ref().map(AgentName::as_str);
        let task = first_line(&record.request.task);
        info!(id = %self.id, name, task, "a worker has started");
        Ok(true)
    }

    /// Is there a reason not to start it: an order to stop, or a draining runner?
    pub(super) fn is_unwanted(&self) -> bool {
        let phase = self.shared.phase();
        let draining = *phase.borrow() != Phase::Running;
        self.orders.borrow().is_some() || draining
    }

    async fn wait_until_unwanted(&self) {
        let (mut orders, mut phase) = (self.orders.subscribe(), self.shared.phase());
        let ordered = orders.wait_for(Option::is_some);
        let draining = phase.wait_for(|phase| *phase != Phase::Running);
        tokio::select! {
            _ = ordered => {}
            _ = draining => {}
        }
    }

    /// Prepares the start; returns whether the request still is this runner's.
    async fn prepare(self: &Arc<Self>) -> io::Result<bool> {
        let worker = Arc::clone(self);
        spawn_blocking(move || worker.make_dirs()).await.map_err(io::Error::other)??;
        let Some(name) = self.register().await? else {
            return Ok(false);
        };
        if !self.report_name(&name).await {
            return Ok(false);
        }
        let worker = Arc::clone(self);
        let given = name.clone();
        spawn_blocking(move || worker.write_job(&given)).await.map_err(io::Error::other)??;
        Ok(true)
    }

    /// Reports the worker's name; returns whether the request still is this runner's.
    async fn report_name(&self, name: &AgentName) -> bool {
        let mut tries = 0;
        while !self.is_unwanted() {
            let update = WorkerUpdate {
                worker_name: Some(name.clone()),
                ..WorkerUpdate::new(&self.lease_token)
            };
            let error = match self.update(update).await {
                Answer::Holds(_) => {
                    self.trouble.end(self.id.as_str());
                    return true;
                }
                Answer::Lost(_) => return false,
                Answer::Later(error) => error,
            };
            self.trouble.begin(self.id.as_str(), &error);
            tries += 1;
            tokio::select! {
                () = self.shared.back_off(tries, error.retry_after()) => {}
                () = self.wait_until_unwanted() => {}
            }
        }
        false
    }

    fn make_dirs(&self) -> io::Result<()> {
        make_dir(self.dirs.root())?;
        let (given, files, task) = (self.dirs.given(), self.dirs.files(), self.dirs.task());
        let user = self.executor().user();
        // Another user needs to reach its own directory.
        for (dir, mode) in [(given, if user.is_some() { 0o711 } else { 0o700 }), (&files, 0o700)] {
            match DirBuilder::new().mode(mode).create(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        write_durably(&task, locked(&self.record).request.task.as_bytes(), 0o600)?;
        if let Some(user) = user {
            for path in [&files, &task] {
                chown(path, Some(user.uid), Some(user.gid))?;
            }
        }
        reserve_stop(&self.dirs.stop())
    }

    fn write_job(&self, name: &AgentName) -> io::Result<()> {
        let record = self.record();
        let given = Assignment { request: &record.request, name, dirs: &self.dirs };
        let job: Result<Job, String> = self.executor().job(&given, &self.shared.options.limits);
        match job {
            Ok(job) => job::write(&self.dirs.job(), &job),
            Err(reason) => {
                // The request cannot be run here: that is its end.
                job::write(&self.dirs.end(), &End::failed(&reason))?;
                Err(io::Error::other(reason))
            }
        }
    }

    /// Registers the worker, unless the bridge does, and returns its name; `None` if it is
    /// not wanted any more.
    async fn register(&self) -> io::Result<Option<AgentName>> {
        let record = self.record();
        let node = &self.shared.options.node;
        let first = self.executor().name(&self.id, node).map_err(io::Error::other)?;
        if !self.executor().registers() {
            self.store_record(Record { name: Some(first.clone()), ..record })?;
            return Ok(Some(first));
        }
        let mut tries = 0;
        let (mut names, mut taken) = (0, record.name.clone().unwrap_or(first));
        loop {
            let result = self.client().register(&self.registration(&taken)).await;
            let Err(error) = result else {
                self.store_record(Record { name: Some(taken.clone()), ..self.record() })?;
                return Ok(Some(taken));
            };
            if error.code() == Some(ErrorCode::AgentExists) && names < NAMES {
                names += 1;
                taken = longer_name(self.id.as_str(), names).map_err(io::Error::other)?;
                continue;
            }
            if !may_succeed_later(&error) {
                return Err(io::Error::other(format!("it cannot be registered: {error}")));
            }
            tries += 1;
            self.wait_out(&error, tries).await;
            if self.is_unwanted() {
                return Ok(None);
            }
        }
    }

    async fn wait_out(&self, error: &Error, tries: u32) {
        self.trouble.begin(self.id.as_str(), error);
        tokio::select! {
            () = self.shared.back_off(tries, error.retry_after()) => {}
            () = self.wait_until_unwanted() => {}
        }
    }

    fn registration(&self, name: &AgentName) -> Registration {
        let metadata = [
            ("node", self.shared.options.node.as_str()),
            ("request", self.id.as_str()),
            ("executor", self.executor().kind()),
        ];
        Registration {
            location: Some(Location::Remote),
            instance: Some(self.id.to_string()),
            metadata: Some(metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..Registration::new(name.clone(), "worker")
        }
    }

    fn store_record(&self, record: Record) -> io::Result<()> {
        job::write(&self.dirs.record(), &record)?;
        *locked(&self.record) = record;
        Ok(())
    }

    /// Starts the supervisor, which inherits the lock.
    fn spawn(&self, lock: File) -> io::Result<()> {
        let log = File::create(self.dirs.root().join("supervisor.log"))?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["runner", "supervise"]).arg(self.dirs.root());
        command.stdin(lock).stdout(Stdio::null()).stderr(log);
        let mut child = command.current_dir("/").spawn()?;
        // This only reaps it: its lock shows when it ends.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Gives the request of a worker back that never ran.
    pub(super) async fn give_back(&self) {
        if *self.orders.borrow() == Some(Stop::LeaseLost) {
            return;
        }
        let mut tries = 0;
        loop {
            let update = WorkerUpdate::give_back(&self.lease_token);
            match self.client().update_worker(&self.id, &update).await {
                Ok(_) => {
                    info!(id = %self.id, "a request was given back");
                    return;
                }
                // Its name was reported already: report a failure instead.
                Err(error) if error.code() == Some(ErrorCode::InvalidTransition) => {
                    let end = End {
                        stopped: *self.orders.borrow(),
                        ..End::failed("the runner was stopped before it started the worker")
                    };
                    return self.report(&end).await;
                }
                Err(error) if may_succeed_later(&error) => {
                    self.trouble.begin(self.id.as_str(), &error);
                    tries += 1;
                    self.shared.back_off(tries, error.retry_after()).await;
                }
                Err(_) => return,
            }
        }
    }
}

/// A longer name for a worker whose name is taken.
fn longer_name(id: &str, names: usize) -> Result<AgentName, String> {
    let digits = 8 + 4 * names;
    let end = id.get(id.len().saturating_sub(digits)..).unwrap_or(id);
    AgentName::parse(&format!("worker-{end}"))
        .map_err(|error| format!("the name of a worker {error}"))
}
