//! The daemon: takes over the workers of an earlier runner, claims requests, and
//! drains at its end.

use crate::claims::claim;
use crate::dirs::Dirs;
use crate::job;
use crate::listener::Pushes;
use crate::options::{Options, StartError};
use crate::shared::{Phase, Shared};
use crate::source::Source;
use crate::status::{keep_written, write_status};
use crate::worker::{Record, Stage, Worker};
use crate::workers::Workers;
use multiclaude_hybrid_bridge::dirs::{names, remove};
use multiclaude_hybrid_bridge::http::Listener;
use multiclaude_hybrid_client::protocol::SpawnId;
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use multiclaude_hybrid_client::protocol::heartbeat::Heartbeat;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

/// The wait between two heartbeats of the workers of a repo, in seconds.
const HEARTBEAT_SECS: u64 = 60;
/// How long the reports may take after all workers were stopped.
const REPORTS: Duration = Duration::from_secs(20);

/// Runs a runner until `stop` receives: the first time it drains, the second time it stops
/// its workers.
///
/// # Errors
/// See [`StartError`].
pub async fn run(
    options: Options,
    mut stop: tokio::sync::mpsc::Receiver<()>,
) -> Result<(), StartError> {
    let dirs = Dirs::of_home(&options.home, options.work.as_deref());
    let _lock = dirs.lock()?.ok_or(StartError::Running)?;
    remove(&dirs.status())?;
    dirs.create()?;
    // Other processes of this user must not read its memory or environment.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    let sources: Vec<_> =
        options.repos.iter().cloned().map(|served| Arc::new(Source::new(served))).collect();
    let pushes = options.listen.as_ref().map(|(_, url)| Pushes::new(sources.clone(), url.clone()));
    let _listener = match (&options.listen, &pushes) {
        (Some((address, _)), Some(pushes)) => {
            let started = Listener::start(*address, Arc::clone(pushes) as _).await;
            Some(started.map_err(|error| StartError::Listen { address: *address, error })?)
        }
        _ => None,
    };
    let shared = Shared::new(options, dirs, sources, pushes);
    let workers = Workers::new(Arc::clone(&shared));
    take_over(&workers)?;
    let (mut claims, mut tasks) = (JoinSet::new(), JoinSet::new());
    for source in &shared.sources {
        claims.spawn(claim(Arc::clone(&workers), Arc::clone(source)));
        tasks.spawn(send_heartbeats(Arc::clone(&workers), Arc::clone(source)));
        if let Some(pushes) = shared.pushes() {
            tasks.spawn(Arc::clone(pushes).follow(Arc::clone(source)));
        }
    }
    tasks.spawn(keep_written(Arc::clone(&workers)));
    info!(
        node = shared.options.node,
        executor = shared.options.executor.kind(),
        max_workers = shared.options.max_workers,
        "the runner is ready"
    );
    tokio::select! {
        _ = stop.recv() => {}
        // They end only if they panic; a service manager starts the runner again.
        failed = claims.join_next() => error!(?failed, "claiming has failed"),
        failed = tasks.join_next() => error!(?failed, "a part of the runner has failed"),
    }
    drain(&workers, claims, stop).await;
    tasks.shutdown().await;
    write_status(&workers, &mut None);
    info!("stopped");
    Ok(())
}

async fn drain(
    workers: &Workers,
    mut claims: JoinSet<()>,
    mut stop: tokio::sync::mpsc::Receiver<()>,
) {
    let shared = &workers.shared;
    info!(workers = workers.all().len(), "draining: nothing is claimed any longer");
    shared.set_phase(Phase::Draining);
    let ended = async {
        // A claim in progress is completed, and its request is given back.
        while claims.join_next().await.is_some() {}
        workers.wait_until_idle().await;
    };
    tokio::select! {
        () = ended => return,
        () = sleep(shared.options.drain) => {}
        _ = stop.recv() => {}
    }
    shared.set_phase(Phase::Stopping);
    if timeout(REPORTS, workers.wait_until_idle()).await.is_err() {
        let left = workers.all().len();
        warn!(left, "not all ends could be reported; the next runner of this home reports them");
    }
}

/// Takes over the workers of an earlier runner.
fn take_over(workers: &Arc<Workers>) -> io::Result<()> {
    let shared = &workers.shared;
    for name in names(&shared.dirs.workers())? {
        let Some(id) = SpawnId::parse(&name) else { continue };
        let dirs = shared.dirs.worker(&id);
        let record: Option<Record> = match job::read(&dirs.record()) {
            Ok(record) => record,
            Err(error) => {
                warn!(%id, %error, "a worker of an earlier runner cannot be taken over");
                continue;
            }
        };
        let Some(record) = record else {
            // It was being removed, or its claim was not stored yet.
            dirs.remove(false)?;
            continue;
        };
        let repo = record.request.repo.clone();
        let Some(worker) = Worker::new(Arc::clone(shared), record) else {
            warn!(%id, %repo, "a worker of a repo that is not served is left alone");
            continue;
        };
        let slot = Arc::clone(&shared.slots).try_acquire_owned().ok();
        workers.start(worker, slot);
    }
    Ok(())
}

/// Sends heartbeats of a repo's workers, in one call for all.
async fn send_heartbeats(workers: Arc<Workers>, source: Arc<Source>) {
    let shared = &workers.shared;
    loop {
        sleep(shared.options.secs(HEARTBEAT_SECS)).await;
        let beats: Vec<_> = workers
            .all()
            .iter()
            .filter(|worker| {
                worker.stage() == Stage::Running && shared.options.executor.registers()
            })
            .map(|worker| worker.record())
            .filter(|record| record.request.repo == source.repo)
            .filter_map(|record| record.name)
            .map(|name| Heartbeat {
                name,
                id: None,
                status: Some(AgentStatus::Active),
                metadata: None,
            })
            .collect();
        if !beats.is_empty() {
            // The next one makes up for a lost one.
            let _ = source.client.heartbeats(&beats).await;
        }
    }
}
