//! Asks one repo for requests, as long as there is a slot for a worker.
//!
//! The key of the next claim is on disk before it is used. A claim whose answer was
//! lost, by an outage or a crash, is repeated under the same key and gets the same
//! request. A claim that gets nothing leaves its key unused.
//!
//! It costs a request and 3 D1 statements each time: every `--poll` seconds while
//! there is a slot, every 30 s if requests are pushed, nothing while all slots are
//! taken.

use crate::job;
use crate::shared::{Phase, Shared};
use crate::worker::{Record, Worker};
use multiclaude_hybrid_bridge::dirs::{make_dir, write_durably};
use multiclaude_hybrid_bridge::trouble::Trouble;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::spawn::{Claim, SpawnRequest, WorkerUpdate};
use multiclaude_hybrid_client::{Error, RepoClient};
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::info;
use uuid::Uuid;

/// Between two claims where requests are pushed: a push may be lost.
const PUSHED: Duration = Duration::from_secs(30);
/// Between two looks whether the runner is paused still.
const PAUSED: Duration = Duration::from_millis(500);

/// How long a former worker for the same request may take to be gone.
const OWN: Duration = Duration::from_secs(10);

/// A repo whose requests are claimed.
#[derive(Debug)]
pub struct Source {
    /// `owner/repo`.
    pub repo: Repo,
    /// Calls with a token of this machine.
    pub client: RepoClient,
    /// Something was pushed.
    pub wake: Notify,
    /// What keeps claims from being made.
    pub trouble: Trouble,
    /// What keeps pushes from coming.
    pub pushes: Trouble,
}

impl Source {
    /// A repo that nothing was claimed in yet.
    pub fn new(repo: Repo, client: RepoClient) -> Self {
        let trouble = Trouble::new(
            "no requests for workers can be claimed",
            "requests for workers are claimed again",
        );
        let pushes =
            Trouble::new("requests are not pushed to this runner", "requests are pushed again");
        Self { repo, client, wake: Notify::new(), trouble, pushes }
    }
}

/// Claims and starts workers until the runner drains.
pub async fn claim(shared: Arc<Shared>, source: Arc<Source>) {
    let mut tries = 0;
    while let Some(slot) = slot(&shared).await {
        match claim_one(&shared, &source, slot).await {
            Ok(true) => tries = 0,
            Ok(false) => {
                tries = 0;
                let poll = shared.options.poll;
                let wait = if shared.is_pushed(&source) { PUSHED.max(poll) } else { poll };
                // Many runners do not ask in the same instant.
                let wait = wait.mul_f64(0.9 + fastrand::f64() / 5.0);
                tokio::select! {
                    () = sleep(wait) => {}
                    () = source.wake.notified() => {}
                    () = shared.ending() => {}
                }
            }
            Err(NotClaimed { reason, retry_after }) => {
                source.trouble.begin(source.repo.as_str(), reason);
                tries += 1;
                tokio::select! {
                    () = shared.pause_for(tries, retry_after) => {}
                    () = shared.ending() => {}
                }
            }
        }
    }
}

/// Why a claim failed.
struct NotClaimed {
    reason: String,
    /// How long the coordinator asks to wait before the next.
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

/// Waits for a slot, and while the runner is paused; nothing when it drains.
async fn slot(shared: &Arc<Shared>) -> Option<OwnedSemaphorePermit> {
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&shared.slots).acquire_owned() => slot.ok()?,
            () = shared.ending() => return None,
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
            () = shared.ending() => return None,
        }
    }
}

async fn claim_one(
    shared: &Arc<Shared>,
    source: &Arc<Source>,
    slot: OwnedSemaphorePermit,
) -> Result<bool, NotClaimed> {
    let text = |error: io::Error| format!("the key of the next claim cannot be kept: {error}");
    let path = shared.dirs.claim(&source.repo);
    let key = match fs::read_to_string(&path) {
        // That of another machine, which this home was copied from, is that one's.
        Ok(key) if key.starts_with(&format!("{}-", machine())) => key,
        _ => {
            let key = new_key();
            keep(shared, source, key.clone()).await.map_err(text)?;
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
    let taken = match shared.worker(&request.id) {
        // A crash came between the claim's directory and the next key.
        Some(worker) if worker.lease_token == lease => Ok(()),
        // It came back while our own worker for it is still being ended.
        Some(_) if timeout(OWN, shared.without(&request.id)).await.is_err() => {
            Err("this runner still ends its former worker for it".to_owned())
        }
        _ => take(shared, &request, slot).await,
    };
    if let Err(reason) = taken {
        // Nobody works on it here, and others shall not wait for that.
        let update = WorkerUpdate::give_back(&lease);
        let given = source.client.update_worker(&request.id, &update).await.err();
        info!(id = %request.id, reason, ?given, "a request was given back");
        keep(shared, source, new_key()).await.map_err(text)?;
        return Err(format!("{}: {reason}", request.id).into());
    }
    // From now on that key is of no use: the claim is in the worker's directory.
    keep(shared, source, new_key()).await.map_err(text)?;
    Ok(true)
}

/// A key that no other machine uses.
fn new_key() -> String {
    format!("{}-{}", machine(), Uuid::new_v4())
}

/// What tells this machine from a copy of it: systemd gives each an id of its own.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    id.trim().chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}

async fn keep(shared: &Arc<Shared>, source: &Arc<Source>, key: String) -> io::Result<()> {
    let path = shared.dirs.claim(&source.repo);
    let kept = spawn_blocking(move || {
        make_dir(path.parent().unwrap_or(&path))?;
        write_durably(&path, key.as_bytes(), 0o600)
    });
    kept.await.map_err(io::Error::other)?
}

/// Keeps a claim on disk, and lets its worker live.
async fn take(
    shared: &Arc<Shared>,
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
    let dirs = shared.dirs.worker(&record.request.id);
    let kept = record.clone();
    let written = spawn_blocking(move || {
        // What an earlier claim of the same request has left is none of this one's.
        dirs.remove(false)?;
        make_dir(dirs.root())?;
        job::write(&dirs.record(), &kept)
    });
    let written = written.await.map_err(|error| error.to_string())?;
    written.map_err(|error| format!("the claim cannot be kept: {error}"))?;
    if let Some(worker) = Worker::new(Arc::clone(shared), record) {
        shared.live(worker, Some(slot));
    }
    Ok(())
}
