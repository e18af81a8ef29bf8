//! Watches directories, by inotify (or the platform's equivalent) and by periodic scans.
//!
//! A watch can be refused (`max_user_watches`, `max_user_instances`), can miss changes
//! (NFS) and ends with its directory. So [`Watcher::keep`] is called before each wait. It
//! notices directories that were removed, created again or swapped, and records which
//! watches could not be set. In that case the waits are short.

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tracing::{info, warn};

/// How long a wait is when all watches are set.
const CALM: Duration = Duration::from_secs(2);
/// How long it is otherwise: less than the 90 ms after which multiclaude removes an
/// agent's last messages.
const DEGRADED: Duration = Duration::from_millis(40);

/// The reason for the end of a wait.
#[derive(Debug)]
pub enum Wake {
    /// These paths changed; none are known if the watch has lost events.
    Changed(Vec<PathBuf>),
    /// A scan was requested.
    Nudge,
    /// The bridge is stopping.
    Stop,
}

/// Watches a changing set of directories.
#[derive(Debug)]
pub struct Watcher {
    inner: Option<RecommendedWatcher>,
    /// The watched directories, with device and inode.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    failed: BTreeMap<PathBuf, String>,
    unavailable: Option<String>,
    sender: Sender<Wake>,
    wakes: Receiver<Wake>,
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Watcher {
    /// A watcher without directories.
    pub fn new() -> Self {
        let (sender, wakes) = channel();
        let mut watcher = Self {
            inner: None,
            watched: BTreeMap::new(),
            failed: BTreeMap::new(),
            unavailable: None,
            sender,
            wakes,
        };
        watcher.open();
        watcher
    }

    fn open(&mut self) {
        let events = self.sender.clone();
        let opened = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let paths = match event {
                // Our own reads are not changes.
                Ok(event) if event.kind.is_access() && !is_written(&event) => return,
                Ok(event) => event.paths,
                Err(_) => Vec::new(),
            };
            let _ = events.send(Wake::Changed(paths));
        });
        match opened {
            Ok(inner) => {
                if self.unavailable.take().is_some() {
                    info!("changes of files are reported again");
                }
                self.inner = Some(inner);
            }
            Err(error) => {
                let reason = error.to_string();
                if self.unavailable.as_ref() != Some(&reason) {
                    warn!(
                        reason,
                        "changes of files are not reported; looking every {DEGRADED:?} instead"
                    );
                }
                self.unavailable = Some(reason);
            }
        }
    }

    /// Wakes this watcher from another thread.
    pub fn waker(&self) -> Sender<Wake> {
        self.sender.clone()
    }

    /// Watches exactly those of these directories that exist.
    pub fn keep(&mut self, wanted: &BTreeSet<PathBuf>) {
        if self.inner.is_none() {
            self.open();
        }
        let Some(inner) = &mut self.inner else {
            return;
        };
        let gone: Vec<_> =
            self.watched.keys().filter(|path| !wanted.contains(*path)).cloned().collect();
        for path in gone {
            let _ = inner.unwatch(&path);
            self.watched.remove(&path);
        }
        self.failed.retain(|path, _| wanted.contains(path));
        for path in wanted {
            let Ok(found) = fs::metadata(path) else {
                self.watched.remove(path);
                self.failed.remove(path);
                continue;
            };
            let identity = (found.dev(), found.ino());
            if self.watched.get(path) == Some(&identity) {
                continue;
            }
            if self.watched.remove(path).is_some() {
                let _ = inner.unwatch(path);
            }
            match inner.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path.clone(), identity);
                    self.failed.remove(path);
                    // Changes may have happened before the watch was set.
                    let _ = self.sender.send(Wake::Changed(Vec::new()));
                }
                Err(error) => {
                    let reason = error.to_string();
                    if self.failed.insert(path.clone(), reason.clone()).is_none() {
                        warn!(
                            dir = %path.display(), reason,
                            "this directory cannot be watched; looking every {DEGRADED:?} instead"
                        );
                    }
                }
            }
        }
    }

    /// The watches that could not be set, and why.
    pub fn failed(&self) -> BTreeMap<PathBuf, String> {
        let mut failed = self.failed.clone();
        if let Some(reason) = &self.unavailable {
            failed.insert(PathBuf::from("all directories"), reason.clone());
        }
        failed
    }

    /// Waits for a change, or until it is time for a scan; returns all events so far.
    pub fn wait(&self) -> Vec<Wake> {
        let calm = self.failed.is_empty() && self.unavailable.is_none();
        let mut wakes = match self.wakes.recv_timeout(if calm { CALM } else { DEGRADED }) {
            Ok(wake) => vec![wake],
            Err(RecvTimeoutError::Timeout) => return Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return vec![Wake::Stop],
        };
        wakes.extend(self.wakes.try_iter());
        wakes
    }
}

/// Was a file closed after a write? inotify reports that as an access.
fn is_written(event: &Event) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    matches!(event.kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Waits until a change of the file `new` in `dir` is reported.
    fn is_reported(watcher: &mut Watcher, dir: &std::path::Path) -> bool {
        let wanted = BTreeSet::from([dir.to_owned()]);
        let deadline = clock::awake() + Duration::from_secs(20);
        while clock::awake() < deadline {
            watcher.keep(&wanted);
            for wake in watcher.wait() {
                if matches!(&wake, Wake::Changed(paths) if paths.iter().any(|path| path.ends_with("new")))
                {
                    return true;
                }
            }
        }
        false
    }

    #[test]
    fn a_directory_that_is_removed_and_created_again_is_watched_again() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("watched");
        let mut watcher = Watcher::new();
        for _ in 0..2 {
            fs::create_dir(&dir).unwrap();
            watcher.keep(&BTreeSet::from([dir.clone()]));
            fs::write(dir.join("new"), "").unwrap();
            assert!(is_reported(&mut watcher, &dir));
            fs::remove_dir_all(&dir).unwrap();
            watcher.keep(&BTreeSet::from([dir.clone()]));
        }
        assert!(watcher.failed().is_empty());
    }
}
