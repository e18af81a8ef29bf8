//! The daemon: starts everything, follows the settings, and ends within 5 s.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | start, main loop and end |
//! | `settings` | serves the repos in the settings |
//! | `served` | one repo that is served |
//! | `report` | writes the status file |
//! | `serving` | the repos, for agents' MCP servers |
//! | `options` | options, and errors of the start |

mod options;
mod report;
mod served;
mod serving;
mod settings;

pub use options::{Options, StartError};

use crate::abort::AbortOnDrop;
use crate::clock;
use crate::dirs::{Dirs, remove};
use crate::http::Listener;
use crate::inbox::Routes;
use crate::multiclaude::{Daemon, Paths, StateFile};
use crate::presence::Timing;
use crate::repo::Shared;
use crate::setup::{self, Machine, Setup};
use crate::socket;
use crate::spool::Capture;
use crate::status::Status;
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::Repo;
use served::{Served, Wakes};
use serving::ServedRepos;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::info;

/// How often the settings are checked, and the status is written.
const TICK: Duration = Duration::from_secs(1);
/// How often settings that cannot be used are read again.
const RELOAD: Duration = Duration::from_secs(15);
/// A larger difference between the clocks means that the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(5);

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    options: Options,
    dirs: Dirs,
    shared: Arc<Shared>,
    serving: Arc<ServedRepos>,
    _listener: Option<Listener>,
    _socket: AbortOnDrop,
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

/// Runs a bridge until `stop` resolves, and holds the home's lock in that time. It needs a
/// runtime with several threads, because it blocks on the disk.
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
    // The status of an earlier process is not valid any more.
    remove(&dirs.status())?;
    let mut bridge = Bridge::start(options, dirs, &machine).await?;
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
    tokio::select! {
        () = &mut stop => {}
        () = async { bridge.check_machine().await; bridge.follow(setup).await } => bridge.work(stop).await,
    }
    bridge.end().await;
    Ok(())
}

impl Bridge {
    /// Starts what all repos share: the watch on multiclaude, and the servers for pushes and
    /// for agents.
    async fn start(
        options: Options,
        dirs: Dirs,
        machine: &Arc<dyn Machine>,
    ) -> Result<Self, StartError> {
        let wakes = Wakes::default();
        let shared = Arc::new(share(&options, machine, wakes.changed.clone()));
        let listener = listen(&options, &shared.routes).await?;
        let serving = Arc::new(ServedRepos::default());
        let socket = socket::serve(
            &dirs.socket(),
            Arc::clone(&serving) as Arc<dyn socket::Serving>,
            Arc::clone(&shared.state),
            Arc::clone(&shared.channels),
        )
        .map_err(|error| StartError::Socket { path: dirs.socket(), error })?;
        Ok(Self {
            options,
            dirs,
            shared,
            serving,
            _listener: listener,
            _socket: AbortOnDrop(socket),
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
        })
    }

    async fn work(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut suspended, mut minute) = (time_suspended(), Instant::now());
        let (mut settings, mut again) = (None, Instant::now());
        loop {
            let round = async {
                tick.tick().await;
                let now_suspended = time_suspended();
                if now_suspended.saturating_sub(suspended) > SUSPENDED {
                    let secs = now_suspended.saturating_sub(suspended).as_secs();
                    info!(secs, "the machine was suspended");
                    self.wakes.resumed.send_modify(|count| *count += 1);
                    minute = Instant::now();
                }
                suspended = now_suspended;
                if Instant::now() >= minute {
                    minute = Instant::now() + self.shared.timing.minute;
                    self.check_machine().await;
                }
                // The settings need the keychain, so they are read only when they have
                // changed, or could not be used.
                let stamp = self.settings_stamp();
                let is_faulty = self.settings_error.is_some() || !self.refused.is_empty();
                if settings.as_ref() != Some(&stamp) || (is_faulty && Instant::now() >= again) {
                    settings = Some(stamp);
                    again = Instant::now() + RELOAD;
                    self.reload().await;
                }
                self.write_status();
            };
            // A keychain may wait for a person, but a stop must not.
            tokio::select! {
                () = &mut stop => return,
                () = round => {}
            }
        }
    }

    async fn check_machine(&self) {
        let up = self.shared.daemon.is_up().await;
        if self.shared.daemon_is_up.swap(up, Ordering::Relaxed) != up {
            info!(up, "multiclaude's daemon");
        }
        self.shared.look_at_panes().await;
        // Agents may have stopped, or come back, without a change of multiclaude's state.
        self.wakes.changed.send_modify(|count| *count += 1);
    }

    async fn end(mut self) {
        info!("stopping");
        let ends = std::mem::take(&mut self.repos).into_values().map(Served::end);
        futures_util::future::join_all(ends).await;
        info!("stopped");
    }
}

/// Creates what all repos share, and begins to watch multiclaude. `changed` counts up when
/// multiclaude's state or a local agent's message changes.
fn share(options: &Options, machine: &Arc<dyn Machine>, changed: watch::Sender<u64>) -> Shared {
    let paths = Paths::of_home(&options.home);
    let state = Arc::new(StateFile::new(paths.state()));
    let capture = Arc::new(Capture::start(paths.clone(), Arc::clone(&state), changed));
    Shared {
        machine: Arc::clone(machine),
        daemon: Daemon::new(paths.socket()),
        paths,
        state,
        serve: options.serve.clone(),
        capture,
        routes: Arc::default(),
        timing: Timing::scaled(options.scale),
        polling: options.polling,
        windows: Arc::default(),
        panes: Mutex::default(),
        channels: Arc::default(),
        accept: options.accept.clone(),
        hop: options.hop,
        home: options.home.clone(),
        daemon_is_up: AtomicBool::new(false),
    }
}

/// Listens for pushes, if the options say so.
async fn listen(options: &Options, routes: &Arc<Routes>) -> Result<Option<Listener>, StartError> {
    let Some(address) = options.listen else {
        return Ok(None);
    };
    let started = Listener::start(address, Arc::clone(routes) as _).await;
    started.map(Some).map_err(|error| StartError::Listen { address, error })
}

/// How long the machine has been suspended since its boot.
fn time_suspended() -> Duration {
    clock::since_boot().saturating_sub(clock::awake())
}
