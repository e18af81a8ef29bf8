//! Whether the coordinator answers for one repo, and since when.
//!
//! While it is away, all senders wait for one probe, and the change is logged once.

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

/// The additional wait if the token was refused.
const REFUSED: Duration = Duration::from_secs(30);

/// Whether the coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It answers, as far as is known.
    Online,
    /// It does not answer, or refuses the token, for this reason.
    Away(String),
}

/// The coordinator and a token, for one repo.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    /// The repo's endpoints.
    pub repo: RepoClient,
    name: Repo,
    reach: watch::Sender<Reach>,
    since: Mutex<Duration>,
    since_ms: AtomicI64,
    probing: AtomicBool,
    last_contact_ms: AtomicI64,
}

impl Connection {
    /// A connection that counts as online until a call fails.
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

    /// Notes the result of a call, and returns it.
    pub fn note<T>(self: &Arc<Self>, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Err(error) if affects_every_call(error) => self.mark_away(error),
            // Perhaps only this call failed: a probe shows that.
            Err(error) if is_retryable(error) && !error.is_limit() => self.probe_after(error),
            _ => self.mark_online(),
        }
        result
    }

    /// Notes that the coordinator has answered.
    pub fn mark_online(&self) {
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

    /// Notes that the coordinator is away, or refuses the token.
    pub fn mark_away(self: &Arc<Self>, error: &Error) {
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

    /// Begins to probe, unless a probe is running.
    fn probe_after(self: &Arc<Self>, error: &Error) {
        if !self.probing.swap(true, Ordering::AcqRel) {
            let first = PROBES.wait_after(error, 1, fastrand::f64());
            tokio::spawn(probe(Arc::downgrade(self), first));
        }
    }

    /// Waits until the coordinator answers.
    pub async fn online(&self) {
        let mut reach = self.reach.subscribe();
        // The sender lives as long as `self`.
        let _ = reach.wait_for(|reach| *reach == Reach::Online).await;
    }

    /// Notifies of changes between online and away.
    pub fn watch(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Whether the coordinator answers, and the time of the last change, in milliseconds
    /// since the epoch.
    pub fn reach(&self) -> (Reach, i64) {
        (self.reach.borrow().clone(), self.since_ms.load(Ordering::Relaxed))
    }

    /// Does the coordinator answer?
    pub fn is_online(&self) -> bool {
        *self.reach.borrow() == Reach::Online
    }

    /// When the coordinator last answered, in milliseconds since the epoch; 0 for never.
    pub fn last_contact_ms(&self) -> i64 {
        self.last_contact_ms.load(Ordering::Relaxed)
    }

    /// The client that makes the calls.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Calls until the coordinator answers, first after `wait`. If the token is refused, it
/// calls less often: only a person can change that.
async fn probe(connection: Weak<Connection>, mut wait: Duration) {
    let mut failures = 1;
    loop {
        sleep(wait).await;
        // The connection may have been replaced by another one.
        let Some(connection) = connection.upgrade() else {
            return;
        };
        match connection.client.whoami().await {
            Err(error) if is_retryable(&error) && !error.is_limit() => {
                connection.mark_away(&error);
                failures += 1;
                wait = PROBES.wait_after(&error, failures, fastrand::f64());
                if !error.is_outage() {
                    wait += REFUSED;
                }
            }
            _ => {
                connection.probing.store(false, Ordering::Release);
                connection.mark_online();
                return;
            }
        }
    }
}

/// Does this failure certainly affect every call?
fn affects_every_call(error: &Error) -> bool {
    error.status() == Some(401)
        || matches!(error, Error::Unreachable { .. } | Error::MalformedToken | Error::Setup(_))
}

/// May the same call succeed later, without a change of the request?
pub fn is_retryable(error: &Error) -> bool {
    error.is_temporary() || affects_every_call(error) || matches!(error, Error::Unexpected { .. })
}
