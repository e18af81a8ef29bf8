//! Claims requests of one repo while there is a slot for a worker.
//!
//! The key of the next claim is on disk before it is used. If the answer is lost in an
//! outage or a crash, the claim is repeated under the same key and gets the same
//! request. A claim that gets no request leaves its key unused.
//!
//! Cost: a request and 5 D1 statements per claim, with its key. Claims are made every
//! `--poll` seconds while there is a slot, every 30 s if requests are pushed, and not at all
//! while all slots are in use.

use crate::job;
use crate::shared::{Phase, Shared};
use crate::source::Source;
use crate::worker::{Record, Worker};
use crate::workers::Workers;
use multiclaude_hybrid_bridge::dirs::{make_dir, write_durably};
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::spawn::{Claim, SpawnRequest, WorkerUpdate};
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::info;
use uuid::Uuid;

/// The wait between two claims if requests are pushed: a push may be lost.
const POLL_WHEN_PUSHED: Duration = Duration::from_secs(30);
/// The wait between two checks whether the runner is still paused.
const PAUSED: Duration = Duration::from_millis(500);
/// How long a former worker for the same request may take to end.
const FORMER_WORKER: Duration = Duration::from_secs(10);

/// Claims and starts workers until the runner drains.
pub async fn claim(workers: Arc<Workers>, source: Arc<Source>) {
    let shared = &workers.shared;
    let mut tries = 0;
    while let Some(slot) = slot(shared).await {
        match claim_one(&workers, &source, slot).await {
            Ok(true) => tries = 0,
            Ok(false) => {
                tries = 0;
                let poll = shared.options.poll;
                let wait =
                    if shared.is_pushed(&source) { POLL_WHEN_PUSHED.max(poll) } else { poll };
                // Jitter, so that runners do not all claim at the same moment.
                let wait = wait.mul_f64(0.9 + fastrand::f64() / 5.0);
                tokio::select! {
                    () = sleep(wait) => {}
                    () = source.wake.notified() => {}
                    () = shared.draining() => {}
                }
            }
            Err(NotClaimed { reason, retry_after }) => {
                source.trouble.begin(source.repo.as_str(), reason);
                tries += 1;
                tokio::select! {
                    () = shared.back_off(tries, retry_after) => {}
                    () = shared.draining() => {}
                }
            }
        }
    }
}

/// Why a claim failed.
struct NotClaimed {
    reason: String,
    /// How long the coordinator asks to wait before the next claim.
    retry_after: Option<Duration>,
}

impl From<String> for NotClaimed {
    fn from(reason: String) -> Self {
        Self { reason, retry_after: None }
    }
}

impl From<Error> for NotClaimed {
    fn from(error: Error) -> Self {
        Self { reason: error.to_string(), retry_after: error.retry_after() }
    }
}

/// Waits for a slot, and until the runner is not paused; `None` when it drains.
async fn slot(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&shared.slots).acquire_owned() => slot.ok()?,
            () = shared.draining() => return None,
        };
        if *shared.phase().borrow() != Phase::Running {
            return None;
        }
        if !shared.dirs.paused().exists() {
            return Some(slot);
        }
        drop(slot);
        tokio::select! {
            () = sleep(PAUSED) => {}
            () = shared.draining() => return None,
        }
    }
}

async fn claim_one(
    workers: &Arc<Workers>,
    source: &Source,
    slot: OwnedSemaphorePermit,
) -> Result<bool, NotClaimed> {
    let shared = &workers.shared;
    let text = |error: io::Error| format!("the key of the next claim cannot be stored: {error}");
    let path = shared.dirs.claim(&source.repo);
    let key = match fs::read_to_string(&path) {
        // A copied home must not reuse the key of the other machine.
        Ok(key) if key.starts_with(&format!("{}-", machine())) => key,
        _ => {
            let key = new_key();
            store_key(shared, source, key.clone()).await.map_err(text)?;
            key
        }
    };
    let offer =
        Claim { labels: shared.options.labels.clone(), lease_secs: shared.options.lease_secs };
    let claimed = source.client.claim(&offer, Some(&key)).await?;
    source.trouble.end(source.repo.as_str());
    let Some(request) = claimed else {
        return Ok(false);
    };
    let lease = request.lease.as_ref().map(|lease| lease.token.clone()).unwrap_or_default();
    let taken = match workers.get(&request.id) {
        // A crash came between the claim's directory and the next key.
        Some(worker) if worker.lease_token == lease => Ok(()),
        // The request was returned while our former worker for it is still ending.
        Some(_) if timeout(FORMER_WORKER, workers.wait_until_gone(&request.id)).await.is_err() => {
            Err("the former worker of this runner for it has not ended yet".to_owned())
        }
        _ => store_claim(workers, &request, slot).await,
    };
    if let Err(reason) = taken {
        // No worker of this runner takes it: let other runners have it at once.
        let update = WorkerUpdate::give_back(&lease);
        let given = source.client.update_worker(&request.id, &update).await.err();
        info!(id = %request.id, reason, ?given, "a request was given back");
        store_key(shared, source, new_key()).await.map_err(text)?;
        return Err(format!("{}: {reason}", request.id).into());
    }
    // The claim is in the worker's directory now, so its key is not needed any more.
    store_key(shared, source, new_key()).await.map_err(text)?;
    Ok(true)
}

/// A key that no other machine uses.
fn new_key() -> String {
    format!("{}-{}", machine(), Uuid::new_v4())
}

/// The machine's id. A copy of a machine gets another one from systemd.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    id.trim().chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}

async fn store_key(shared: &Shared, source: &Source, key: String) -> io::Result<()> {
    let path = shared.dirs.claim(&source.repo);
    let stored = spawn_blocking(move || {
        make_dir(path.parent().unwrap_or(&path))?;
        write_durably(&path, key.as_bytes(), 0o600)
    });
    stored.await.map_err(io::Error::other)?
}

/// Stores a claim on disk, and starts its worker.
async fn store_claim(
    workers: &Arc<Workers>,
    request: &SpawnRequest,
    slot: OwnedSemaphorePermit,
) -> Result<(), String> {
    let lease = request.lease.clone();
    let lease = lease.ok_or("the coordinator gave a request without a lease")?;
    info!(id = %request.id, repo = %request.repo, "a request was claimed");
    let record = Record {
        request: SpawnRequest { lease: None, ..request.clone() },
        lease_token: lease.token,
        name: None,
    };
    let dirs = workers.shared.dirs.worker(&record.request.id);
    let stored = record.clone();
    let written = spawn_blocking(move || {
        // An earlier claim of the same request may have left files.
        dirs.remove(false)?;
        make_dir(dirs.root())?;
        job::write(&dirs.record(), &stored)
    });
    let written = written.await.map_err(|error| error.to_string())?;
    written.map_err(|error| format!("the claim cannot be stored: {error}"))?;
    if let Some(worker) = Worker::new(Arc::clone(&workers.shared), record) {
        workers.start(worker, Some(slot));
    }
    Ok(())
}
