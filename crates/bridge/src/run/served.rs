//! One repo that is served: its parts, and the tasks that run them.

use crate::connection::Connection;
use crate::dirs::{RepoDirs, make_dir, write_durably};
use crate::hop::{Hop, Parts as HopParts};
use crate::inbox::{Inbox, LastHop, Store};
use crate::outbox::Outbox;
use crate::registry::{Home, Registry};
use crate::repo::{Parts, RepoBridge, Shared};
use crate::seal::Seal;
use crate::setup::RepoSetup;
use crate::spool::Spool;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Changes within this time are handled together.
const TOGETHER: Duration = Duration::from_millis(50);
/// The wait before a failed report is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// The time limits for stopping, in two steps: together less than 5 s.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// Signals for the tasks of all repos.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    /// Counts up when the state or a local agent's message changes.
    pub(super) changed: watch::Sender<u64>,
    /// Counts up when the machine resumes from suspension.
    pub(super) resumed: watch::Sender<u64>,
}

/// A repo that is served. Its tasks end when this is dropped.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) bridge: Arc<RepoBridge>,
    tasks: Vec<JoinHandle<()>>,
    outbox: JoinHandle<()>,
}

impl Served {
    /// Starts to serve a repo.
    pub(super) fn start(
        setup: RepoSetup,
        home: Home,
        dirs: RepoDirs,
        (shared, wakes): (&Arc<Shared>, &Wakes),
    ) -> io::Result<Self> {
        let taken = Arc::new(Notify::new());
        let parts = open(&setup, home, dirs, shared, &taken)?;
        let outbox = Arc::clone(&parts.outbox);
        let bridge = Arc::new(RepoBridge::new(setup, Arc::clone(shared), parts));
        let (changed, resumed) = (|| wakes.changed.subscribe(), wakes.resumed.subscribe());
        let tasks = vec![
            tokio::spawn(passes(Arc::clone(&bridge), changed(), resumed)),
            tokio::spawn(acks(Arc::clone(&bridge), changed())),
            tokio::spawn(seen(Arc::clone(&bridge), taken)),
        ];
        Ok(Self { bridge, tasks, outbox: tokio::spawn(outbox.run()) })
    }

    /// Marks its agents as stopped, and finishes messages in flight.
    pub(super) async fn end(mut self) {
        for task in &self.tasks {
            task.abort();
        }
        // Tool calls may keep a reference to the bridge for a while.
        self.bridge.inbox.stop();
        self.bridge.stop(STOP_TIMEOUT).await;
        let _ = timeout(IN_FLIGHT, &mut self.outbox).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain([&self.outbox]) {
            task.abort();
        }
    }
}

/// Opens the parts of a repo that is served. The last hop notifies `taken`.
fn open(
    setup: &RepoSetup,
    home: Home,
    dirs: RepoDirs,
    shared: &Shared,
    taken: &Arc<Notify>,
) -> io::Result<Parts> {
    make_dir(&dirs.inbox())?;
    write_durably(&dirs.nickname(), setup.nickname.as_bytes(), 0o600)?;
    let connection = Connection::new(setup.client.clone(), setup.repo.clone());
    let instance = home.instance.clone();
    let registry = Arc::new(Registry::open(Arc::clone(&connection), &dirs, home)?);
    let spool = Arc::new(open_spool(setup, dirs, shared, &registry)?);
    let seal = Arc::new(Seal::new(
        Arc::clone(&shared.machine),
        setup.repo.clone(),
        setup.require_encryption,
    ));
    let hop = Arc::new(open_hop(&spool, shared, &registry, taken)) as Arc<dyn LastHop>;
    let inbox = Inbox::new(
        Arc::clone(&spool),
        Arc::clone(&shared.state),
        Arc::clone(&seal),
        (Arc::clone(&registry), hop, shared.accept.clone()),
    );
    let outbox = Arc::new(Outbox {
        spool,
        connection: Arc::clone(&connection),
        registry: Arc::clone(&registry),
        inbox: Arc::new(inbox),
        seal,
        state: Arc::clone(&shared.state),
        paths: shared.paths.clone(),
        instance,
        stopping: AtomicBool::new(false),
        waiting: Mutex::default(),
    });
    Ok(Parts { connection, registry, outbox })
}

/// Opens the spool of a repo. Its names are those last known, until the coordinator has
/// answered.
fn open_spool(
    setup: &RepoSetup,
    dirs: RepoDirs,
    shared: &Shared,
    registry: &Registry,
) -> io::Result<Spool> {
    let messages = shared.paths.messages(&setup.nickname);
    let spool = Spool::open(&setup.nickname, messages, dirs)?;
    let known = spool.known_names().into_keys().collect();
    spool.set_names(known, setup.stood_down.clone(), registry.records.all().into_keys().collect());
    Ok(spool)
}

/// The last hop of a repo. It notifies `taken`.
fn open_hop(spool: &Spool, shared: &Shared, registry: &Arc<Registry>, taken: &Arc<Notify>) -> Hop {
    Hop::new(HopParts {
        home: shared.home.clone(),
        nickname: spool.nickname.clone(),
        messages: spool.messages.clone(),
        state: Arc::clone(&shared.state),
        store: Store::new(spool.dirs.clone()),
        channels: Arc::clone(&shared.channels),
        windows: Arc::clone(&shared.windows),
        options: shared.hop,
        taken: Arc::clone(taken),
        registry: Arc::clone(registry),
    })
}

/// Runs passes of one repo: after each change, once a minute, when the coordinator is back,
/// and after a suspension.
async fn passes(
    bridge: Arc<RepoBridge>,
    mut changed: watch::Receiver<u64>,
    mut resumed: watch::Receiver<u64>,
) {
    let mut minute = interval(bridge.timing().minute);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut online = bridge.connection.watch();
    loop {
        let mut is_due = false;
        tokio::select! {
            _ = minute.tick() => is_due = true,
            done = changed.changed() => if done.is_err() { return },
            done = resumed.changed() => {
                if done.is_err() {
                    return;
                }
                // Connections may not have survived the suspension.
                bridge.reconnect();
                is_due = true;
            }
            done = online.changed() => if done.is_err() { return },
            () = bridge.superseded.notified() => {}
        }
        if !is_due {
            sleep(TOGETHER).await;
        }
        changed.mark_unchanged();
        online.mark_unchanged();
        bridge.pass(is_due).await;
    }
}

/// Reports acknowledgements of one repo.
async fn acks(bridge: Arc<RepoBridge>, mut changed: watch::Receiver<u64>) {
    let mut online = bridge.connection.watch();
    loop {
        let again = bridge.report_acks().await;
        tokio::select! {
            () = sleep(AGAIN.max(again.unwrap_or_default())), if again.is_some() => {}
            done = changed.changed() => if done.is_err() { return },
            done = online.changed() => if done.is_err() { return },
        }
        sleep(TOGETHER).await;
        changed.mark_unchanged();
        online.mark_unchanged();
    }
}

/// Reports messages as soon as agents of one repo have taken them.
async fn seen(bridge: Arc<RepoBridge>, taken: Arc<Notify>) {
    let mut online = bridge.connection.watch();
    loop {
        let again = bridge.report_seen().await;
        tokio::select! {
            () = sleep(AGAIN.max(again.unwrap_or_default())), if again.is_some() => {}
            () = taken.notified() => {}
            done = online.changed() => if done.is_err() { return },
        }
        online.mark_unchanged();
    }
}
