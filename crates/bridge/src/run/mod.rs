//! The daemon: starts everything, follows the settings, and ends within 5 s.

mod desks;
mod options;
mod served;

pub use options::{Options, StartError};

use crate::clock;
use crate::dirs::{Dirs, remove, write_durably};
use crate::http::Listener;
use crate::inbox::Routes;
use crate::multiclaude::{Daemon, Paths, StateFile};
use crate::presence::Timing;
use crate::registry::Home;
use crate::repo::Shared;
use crate::setup::{self, Machine, RepoSetup, Setup};
use crate::socket::{self, Channels};
use crate::spool::Capture;
use crate::status::{RepoStatus, Status};
use crate::trouble::Trouble;
use desks::{Aborting, Desks};
use multiclaude_hybrid_client::protocol::Repo;
use served::{Served, Wakes};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often the settings are looked at, and the status is written.
const TICK: Duration = Duration::from_secs(1);
/// How often settings that cannot be used are read again.
const RELOAD: Duration = Duration::from_secs(15);
/// A gap between the clocks that means that the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(5);

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    options: Options,
    dirs: Dirs,
    shared: Arc<Shared>,
    desks: Arc<Desks>,
    wakes: Wakes,
    setup: Setup,
    settings_error: Option<String>,
    trouble: Trouble,
    refused: BTreeMap<String, String>,
    repos: BTreeMap<Repo, Served>,
    started_ms: i64,
    written: Option<Status>,
    requests: (i64, u64),
}

/// Runs a bridge until `stop` resolves. The lock of the home is held meanwhile. It
/// needs a runtime with several threads, because it waits for the disk.
///
/// # Errors
/// See [`StartError`].
pub async fn run(
    options: Options,
    machine: Arc<dyn Machine>,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let dirs = Dirs::of_home(&options.home);
    let _lock = dirs.lock()?.ok_or(StartError::Running)?;
    // That of an earlier process says nothing of this one.
    remove(&dirs.status())?;
    let paths = Paths::of_home(&options.home);
    let wakes = Wakes::default();
    let state = Arc::new(StateFile::new(paths.state()));
    let routes = Arc::new(Routes::default());
    let _listener = match options.listen {
        None => None,
        Some(address) => {
            let started = Listener::start(address, Arc::clone(&routes) as _).await;
            Some(started.map_err(|error| StartError::Listen { address, error })?)
        }
    };
    let channels = Arc::new(Channels::default());
    let desks = Arc::new(Desks::default());
    let socket = socket::serve(
        &dirs.socket(),
        Arc::clone(&desks) as Arc<dyn socket::Serving>,
        Arc::clone(&state),
        Arc::clone(&channels),
    );
    let _socket =
        socket.map(Aborting).map_err(|error| StartError::Socket { path: dirs.socket(), error })?;
    let capture =
        Arc::new(Capture::start(paths.clone(), Arc::clone(&state), wakes.changed.clone()));
    let shared = Arc::new(Shared {
        machine: Arc::clone(&machine),
        daemon: Daemon::new(paths.socket()),
        paths,
        state,
        serve: options.serve.clone(),
        capture,
        routes,
        timing: Timing::scaled(options.scale),
        polling: options.polling,
        windows: Arc::default(),
        panes: Mutex::default(),
        channels: Arc::clone(&channels),
        accept: options.accept.clone(),
        wishes: options.wishes,
        home: options.home.clone(),
        daemon_is_up: AtomicBool::new(false),
    });
    let mut stop = std::pin::pin!(stop);
    let setup = tokio::select! {
        () = &mut stop => return Ok(()),
        setup = setup::read(&machine) => setup.map_err(StartError::Setup)?,
    };
    info!(
        node = setup.node,
        pid = std::process::id(),
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );
    let mut bridge = Bridge {
        options,
        dirs,
        shared,
        desks,
        wakes,
        setup: Setup::default(),
        settings_error: None,
        trouble: Trouble::new(
            "the settings cannot be used; going on with the last ones",
            "the settings can be used again",
        ),
        refused: BTreeMap::new(),
        repos: BTreeMap::new(),
        started_ms: clock::wall_ms(),
        written: None,
        requests: (0, 0),
    };
    tokio::select! {
        () = &mut stop => {}
        () = async { bridge.look_at_machine().await; bridge.follow(setup).await } => bridge.work(stop).await,
    }
    bridge.end().await;
    Ok(())
}

impl Bridge {
    async fn work(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut asleep, mut minute) = (asleep(), Instant::now());
        let (mut settings, mut again) = (None, Instant::now());
        loop {
            let round = async {
                tick.tick().await;
                let now_asleep = self::asleep();
                if now_asleep.saturating_sub(asleep) > SUSPENDED {
                    let secs = now_asleep.saturating_sub(asleep).as_secs();
                    info!(secs, "the machine was suspended");
                    self.wakes.resumed.send_modify(|count| *count += 1);
                    minute = Instant::now();
                }
                asleep = now_asleep;
                if Instant::now() >= minute {
                    minute = Instant::now() + self.shared.timing.minute;
                    self.look_at_machine().await;
                }
                // Reading the settings asks the keychain: only when they have
                // changed, or could not be used.
                let stamp = self.settings_stamp();
                let unsettled = self.settings_error.is_some() || !self.refused.is_empty();
                if settings.as_ref() != Some(&stamp) || (unsettled && Instant::now() >= again) {
                    settings = Some(stamp);
                    again = Instant::now() + RELOAD;
                    self.reload().await;
                }
                self.write_status();
            };
            // A keychain may wait for a person; the end does not.
            tokio::select! {
                () = &mut stop => return,
                () = round => {}
            }
        }
    }

    /// What changes when the settings or multiclaude's repos do.
    fn settings_stamp(&self) -> (Vec<Option<std::time::SystemTime>>, Vec<(String, String)>) {
        let root = self.shared.paths.root();
        let files = [root.join("hybrid/settings.json"), root.join("credentials")];
        // What the human decides about messages, too.
        let decisions = self.repos.values().map(|served| served.bridge.spool.dirs.decisions());
        let time = |file| std::fs::metadata(file).and_then(|found| found.modified()).ok();
        let times: Vec<_> = files.into_iter().chain(decisions).map(time).collect();
        let state = self.shared.state.read();
        let repos = state.iter().flat_map(|state| &state.repos);
        (times, repos.map(|(name, repo)| (name.clone(), repo.github_url.clone())).collect())
    }

    async fn look_at_machine(&self) {
        let up = self.shared.daemon.is_up().await;
        if self.shared.daemon_is_up.swap(up, Ordering::Relaxed) != up {
            info!(up, "multiclaude's daemon");
        }
        self.shared.look_at_panes().await;
    }

    async fn reload(&mut self) {
        let setup = match setup::read(&self.shared.machine).await {
            Ok(setup) => setup,
            Err(reason) => {
                self.trouble.begin("settings", &reason);
                self.settings_error = Some(reason);
                return;
            }
        };
        // A home that was removed takes the settings with it: messages on their
        // way are carried on all the same.
        if setup.repos.is_empty()
            && !self.repos.is_empty()
            && !self.shared.paths.root().join("hybrid").exists()
        {
            let reason = "the settings are gone".to_owned();
            self.trouble.begin("settings", &reason);
            self.settings_error = Some(reason);
            return;
        }
        self.trouble.end("settings");
        self.settings_error = None;
        self.follow(setup).await;
    }

    /// Serves the repos of `setup`, and no others.
    async fn follow(&mut self, setup: Setup) {
        let same_machine = setup.node == self.setup.node && setup.instance == self.setup.instance;
        self.refused.clone_from(&setup.refused);
        let mut stale = Vec::new();
        for (repo, served) in &self.repos {
            let wanted = setup.repos.iter().find(|wanted| wanted.repo == *repo);
            match wanted {
                None if same_machine && setup.for_now.contains(repo) => {}
                Some(wanted) if same_machine && wanted.is_same(&served.bridge.setup) => {
                    served.bridge.set_stood_down(wanted.stood_down.clone());
                }
                _ => stale.push(repo.clone()),
            }
        }
        let ended: Vec<_> = stale.iter().filter_map(|repo| self.repos.remove(repo)).collect();
        // Nothing is taken, and no link is made, for these from now on.
        self.capture_served();
        for served in ended {
            let old = &served.bridge.setup;
            let now = setup.repos.iter().find(|wanted| wanted.repo == old.repo);
            let stays = now.is_some_and(|now| now.nickname == old.nickname);
            let (repo, spool) = (old.repo.clone(), Arc::clone(&served.bridge.spool));
            info!(%repo, stays, "its settings have changed");
            served.end().await;
            if !stays && let Err(error) = spool.links.remove_all() {
                warn!(%repo, %error, "its links were not removed");
            }
        }
        self.setup = setup.clone();
        for wanted in setup.repos {
            if self.repos.contains_key(&wanted.repo) {
                continue;
            }
            let repo = wanted.repo.clone();
            match self.serve(wanted) {
                Ok(served) => {
                    self.repos.insert(repo, served);
                }
                Err(error) => {
                    warn!(%repo, %error, "not served");
                    self.refused.insert(repo.to_string(), error.to_string());
                }
            }
        }
        self.capture_served();
        self.wakes.changed.send_modify(|count| *count += 1);
    }

    fn capture_served(&self) {
        let spools = self.repos.values().map(|served| Arc::clone(&served.bridge.spool)).collect();
        self.shared.capture.serve(spools);
        self.desks.serve(self.repos.values().map(|served| Arc::clone(&served.bridge)));
    }

    fn serve(&self, setup: RepoSetup) -> io::Result<Served> {
        let dirs = self.dirs.repo(&setup.repo);
        let home = Home {
            repo: setup.repo.clone(),
            node: self.setup.node.clone(),
            instance: self.setup.instance.clone(),
            owner: setup.owner.clone(),
            recipient: setup.recipient.clone(),
            public_url: self.options.public_url.clone(),
        };
        Served::start(setup, home, dirs, (&self.shared, &self.wakes))
    }

    fn status(&mut self) -> Status {
        let now_ms = clock::wall_ms();
        let day = now_ms.div_euclid(86_400_000);
        let total: u64 =
            self.repos.values().map(|served| served.bridge.connection.client().requests()).sum();
        if self.requests.0 != day {
            self.requests = (day, total);
        }
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            node: self.setup.node.clone(),
            settings_error: self.settings_error.clone(),
            daemon: self.shared.daemon_is_up.load(Ordering::Relaxed),
            serve: self.options.serve.iter().cloned().collect(),
            requests_today: total.saturating_sub(self.requests.1),
            unwatched: self
                .shared
                .capture
                .failed_watches()
                .into_iter()
                .map(|(path, reason)| (path.display().to_string(), reason))
                .collect(),
            refused: self.refused.clone(),
            repos: self.repos.values().map(|served| RepoStatus::of(&served.bridge)).collect(),
        }
    }

    fn write_status(&mut self) {
        let status = self.status();
        if self.written.as_ref() == Some(&status) {
            return;
        }
        let text = serde_json::to_vec_pretty(&status).unwrap_or_default();
        if write_durably(&self.dirs.status(), &text, 0o600).is_ok() {
            self.written = Some(status);
        }
    }

    async fn end(mut self) {
        info!("stopping");
        let ends = std::mem::take(&mut self.repos).into_values().map(Served::end);
        futures_util::future::join_all(ends).await;
        info!("stopped");
    }
}

/// How long the machine has been suspended since it was started.
fn asleep() -> Duration {
    clock::since_boot().saturating_sub(clock::awake())
}
