//! The thread that takes message files as they are written.
//!
//! When an agent ends, multiclaude removes directories of unknown names within 90 ms. So
//! this thread does nothing else, and makes no calls.

use super::Spool;
use crate::clock;
use crate::lock::locked;
use crate::multiclaude::{Paths, StateFile};
use crate::trouble::Trouble;
use crate::watch::{Wake, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::watch;

/// The longest time between two increments of `changed`.
const STALE: Duration = Duration::from_secs(2);

/// The thread that takes message files. It ends when this is dropped.
#[derive(Debug)]
pub struct Capture {
    waker: Sender<Wake>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    paths: Paths,
    state: Arc<StateFile>,
    spools: Mutex<Vec<Arc<Spool>>>,
    /// Counts up when the state, or a local agent's directory, has changed.
    changed: watch::Sender<u64>,
    failed: Mutex<BTreeMap<PathBuf, String>>,
    trouble: Trouble,
    bumped: Mutex<Duration>,
}

impl Capture {
    /// Starts the thread. `changed` counts up when the state or a message of a local agent
    /// changes.
    pub fn start(paths: Paths, state: Arc<StateFile>, changed: watch::Sender<u64>) -> Self {
        let watcher = Watcher::new();
        let waker = watcher.waker();
        let shared = Arc::new(Shared {
            paths,
            state,
            spools: Mutex::default(),
            changed,
            failed: Mutex::default(),
            trouble: Trouble::new(
                "messages cannot be taken; trying again",
                "messages can be taken again",
            ),
            bumped: Mutex::default(),
        });
        let (of_thread, name) = (Arc::clone(&shared), "capture".to_owned());
        let thread = thread::Builder::new().name(name).spawn(move || of_thread.run(watcher)).ok();
        Self { waker, shared, thread }
    }

    /// Serves these repos from now on.
    pub fn serve(&self, spools: Vec<Arc<Spool>>) {
        *locked(&self.shared.spools) = spools;
        self.nudge();
    }

    /// Requests a scan now.
    pub fn nudge(&self) {
        let _ = self.waker.send(Wake::Nudge);
    }

    /// The watches that could not be set, and why.
    pub fn failed_watches(&self) -> BTreeMap<PathBuf, String> {
        locked(&self.shared.failed).clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.waker.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, mut watcher: Watcher) {
        loop {
            watcher.keep(&self.directories());
            *locked(&self.failed) = watcher.failed();
            self.look();
            let wakes = watcher.wait();
            if wakes.iter().any(|wake| matches!(wake, Wake::Stop)) {
                return;
            }
            // Changes may not be reported, so count up from time to time.
            let stale = clock::awake().saturating_sub(*locked(&self.bumped)) > STALE;
            if stale || self.concerns_others(&wakes) {
                *locked(&self.bumped) = clock::awake();
                self.changed.send_modify(|count| *count += 1);
            }
        }
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        let mut wanted = BTreeSet::from([self.paths.root().to_owned()]);
        let state = self.state.read();
        for spool in &*locked(&self.spools) {
            wanted.insert(spool.messages.clone());
            let out = spool.dirs.out();
            let remote = crate::dirs::names(&out).unwrap_or_default();
            wanted.extend(remote.into_iter().map(|name| out.join(name)));
            let local = state.as_ref().and_then(|state| state.repos.get(&spool.nickname));
            let names = local.into_iter().flat_map(|local| local.agents.keys());
            let plain = names.map(|name| spool.messages.join(name)).filter(|dir| !dir.is_symlink());
            wanted.extend(plain);
        }
        wanted
    }

    /// Did the state, or a local agent's messages, change?
    fn concerns_others(&self, wakes: &[Wake]) -> bool {
        let out: Vec<_> = locked(&self.spools).iter().map(|spool| spool.dirs.out()).collect();
        let root = self.paths.root();
        wakes.iter().any(|wake| match wake {
            Wake::Changed(paths) => {
                paths.is_empty()
                    || paths.iter().any(|path| {
                        let at_root = path.parent() == Some(root) && !path.ends_with("state.json");
                        !at_root && !out.iter().any(|out| path.starts_with(out))
                    })
            }
            _ => false,
        })
    }

    fn look(&self) {
        let state = self.state.read();
        let mut failure = None;
        for spool in &*locked(&self.spools) {
            // Do not create the directory of a repo that is not in the state.
            let local = state.as_ref().and_then(|state| state.repos.get(&spool.nickname));
            let linked =
                local.map_or(Ok(()), |local| spool.make_links(local.agents.keys().cloned()));
            let taken = spool.take();
            if let Err(error) = linked.and(taken) {
                failure = Some(format!("{}: {error}", spool.nickname));
            }
        }
        match failure {
            Some(reason) => self.trouble.begin("spool", reason),
            None => self.trouble.end("spool"),
        }
    }
}
