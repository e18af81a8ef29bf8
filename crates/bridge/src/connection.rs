//! The coordinator, seen from one repo: is it there, and since when?
//!
//! While it is away everything that sends waits for one probe, and the change is
//! logged once.

use crate::clock;
use crate::lock::locked;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::{Client, Error, RepoClient, Retries};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

/// The waits between two probes.
const PROBES: Retries = Retries {
    attempts: u32::MAX,
    first: Duration::from_millis(200),
    longest: Duration::from_secs(5),
};

/// The wait after a refusal of the token.
const REFUSED: Duration = Duration::from_secs(30);

/// Whether the coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It does, as far as is known.
    Online,
    /// It does not, or refuses the token; this is why.
    Away(String),
}

/// The coordinator and a token, for one repo.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    /// The repo's resources.
    pub repo: RepoClient,
    name: Repo,
    reach: watch::Sender<Reach>,
    since: Mutex<Duration>,
    since_ms: AtomicI64,
    probing: AtomicBool,
    last_contact_ms: AtomicI64,
}

impl Connection {
    /// A connection that nothing is known of yet.
    pub fn new(client: Client, name: Repo) -> Arc<Self> {
        Arc::new(Self {
            repo: client.repo(&name),
            client,
            name,
            reach: watch::Sender::new(Reach::Online),
            since: Mutex::new(clock::since_boot()),
            since_ms: AtomicI64::new(clock::wall_ms()),
            probing: AtomicBool::new(false),
            last_contact_ms: AtomicI64::new(0),
        })
    }

    /// Notes how a call went, and gives its result back.
    pub fn note<T>(self: &Arc<Self>, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Err(error) if concerns_all(error) => self.lost(error),
            // Perhaps this call alone failed: a probe tells.
            Err(error) if is_for_later(error) && !error.is_limit() => self.probe_after(error),
            _ => self.reached(),
        }
        result
    }

    /// The coordinator has answered.
    pub fn reached(&self) {
        self.last_contact_ms.store(clock::wall_ms(), Ordering::Relaxed);
        let was_away = self.reach.send_if_modified(|reach| {
            let was_away = *reach != Reach::Online;
            *reach = Reach::Online;
            was_away
        });
        if was_away {
            let since = std::mem::replace(&mut *locked(&self.since), clock::since_boot());
            self.since_ms.store(clock::wall_ms(), Ordering::Relaxed);
            let secs = clock::since_boot().saturating_sub(since).as_secs();
            info!(repo = %self.name, secs, "the coordinator is back");
        }
    }

    /// The coordinator is away, or refuses the token.
    pub fn lost(self: &Arc<Self>, error: &Error) {
        let reason = error.to_string();
        let was_online = self.reach.send_if_modified(|reach| {
            let was_online = *reach == Reach::Online;
            *reach = Reach::Away(reason.clone());
            was_online
        });
        if was_online {
            *locked(&self.since) = clock::since_boot();
            self.since_ms.store(clock::wall_ms(), Ordering::Relaxed);
            warn!(repo = %self.name, reason, "the coordinator is away; messages wait on this machine");
        }
        self.probe_after(error);
    }

    /// Begins to probe, unless that is being done.
    fn probe_after(self: &Arc<Self>, error: &Error) {
        if !self.probing.swap(true, Ordering::AcqRel) {
            let first = PROBES.wait_after(error, 1, fastrand::f64());
            tokio::spawn(probe(Arc::downgrade(self), first));
        }
    }

    /// Waits until the coordinator answers.
    pub async fn online(&self) {
        let mut reach = self.reach.subscribe();
        // The sender lives as long as this.
        let _ = reach.wait_for(|reach| *reach == Reach::Online).await;
    }

    /// Changes when the coordinator goes or comes back.
    pub fn watch(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Whether it answers, and since when that is so, in milliseconds since the
    /// epoch.
    pub fn reach(&self) -> (Reach, i64) {
        (self.reach.borrow().clone(), self.since_ms.load(Ordering::Relaxed))
    }

    /// Does it answer?
    pub fn is_online(&self) -> bool {
        *self.reach.borrow() == Reach::Online
    }

    /// When it last answered, in milliseconds since the epoch; 0 for never.
    pub fn last_contact_ms(&self) -> i64 {
        self.last_contact_ms.load(Ordering::Relaxed)
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Asks until the coordinator answers, at first after `wait`. A refused token is
/// asked about less often: only a person can change that.
async fn probe(connection: Weak<Connection>, mut wait: Duration) {
    let mut failures = 1;
    loop {
        sleep(wait).await;
        // It may have been replaced by another one meanwhile.
        let Some(connection) = connection.upgrade() else {
            return;
        };
        match connection.client.whoami().await {
            Err(error) if is_for_later(&error) && !error.is_limit() => {
                connection.lost(&error);
                failures += 1;
                wait = PROBES.wait_after(&error, failures, fastrand::f64());
                if !error.is_outage() {
                    wait += REFUSED;
                }
            }
            _ => {
                connection.probing.store(false, Ordering::Release);
                connection.reached();
                return;
            }
        }
    }
}

/// Does this failure concern every call, beyond doubt?
fn concerns_all(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::Unauthenticated(_)
            | Error::MalformedToken
            | Error::Setup(_)
    )
}

/// May the same call succeed later, without anybody changing the request? Then
/// what it was to do waits.
pub fn is_for_later(error: &Error) -> bool {
    error.is_temporary() || concerns_all(error) || matches!(error, Error::Unexpected { .. })
}
