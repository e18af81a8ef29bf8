//! The coordinator, seen from one repo: is it there, and since when?
//!
//! While it is away everything that sends waits for one probe, and the change is
//! logged once.

use crate::clock;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::{Client, Error, RepoClient, Retries};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::spool::locked;

/// The waits between two probes.
const PROBES: Retries = Retries {
    attempts: u32::MAX,
    first: Duration::from_millis(200),
    longest: Duration::from_secs(5),
};

/// Whether the coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It does, or nobody has asked yet.
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
            probing: AtomicBool::new(false),
            last_contact_ms: AtomicI64::new(0),
        })
    }

    /// Notes how a call went, and gives its result back.
    pub fn note<T>(self: &Arc<Self>, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Err(error) if stops_everything(error) => self.lost(error),
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
            warn!(repo = %self.name, reason, "the coordinator is away; messages wait on this machine");
        }
        if !self.probing.swap(true, Ordering::AcqRel) {
            let probed = Arc::clone(self);
            tokio::spawn(async move { probed.probe().await });
        }
    }

    /// Asks until it answers. A refused token is asked about less often: only a
    /// person can change that.
    async fn probe(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            failures += 1;
            sleep(PROBES.wait(failures, fastrand::f64())).await;
            match self.client.whoami().await {
                Err(error) if stops_everything(&error) => {
                    self.reach.send_if_modified(|reach| {
                        *reach = Reach::Away(error.to_string());
                        false
                    });
                    if !error.is_outage() {
                        sleep(Duration::from_secs(30)).await;
                    }
                }
                _ => break,
            }
        }
        self.probing.store(false, Ordering::Release);
        self.reached();
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

    /// Whether it answers, and for how long that has been so.
    pub fn reach(&self) -> (Reach, Duration) {
        let since = *locked(&self.since);
        (self.reach.borrow().clone(), clock::since_boot().saturating_sub(since))
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

/// Does this failure concern every call, and not this one alone?
pub fn stops_everything(error: &Error) -> bool {
    error.is_outage()
        || matches!(
            error,
            Error::Unauthenticated(_)
                | Error::MalformedToken
                | Error::Unexpected { .. }
                | Error::Setup(_)
        )
}
