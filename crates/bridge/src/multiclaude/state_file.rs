//! The current `state.json`, without reading it each time.

use super::State;
use crate::lock::locked;
use crate::trouble::Trouble;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// `state.json`, parsed again only when it was replaced.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    seen: Mutex<Option<(Stamp, Arc<State>)>>,
    trouble: Trouble,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
}

impl StateFile {
    /// The state file at this path.
    pub fn new(path: PathBuf) -> Self {
        let trouble = Trouble::new(
            "multiclaude's state cannot be read: its agents count as stopped",
            "multiclaude's state can be read again",
        );
        Self { path, seen: Mutex::default(), trouble }
    }

    /// The current state; `None` if it is missing or cannot be read, which is logged once.
    pub fn read(&self) -> Option<Arc<State>> {
        let stamp = fs::metadata(&self.path).ok().map(|found| Stamp {
            inode: found.ino(),
            size: found.size(),
            modified: found.modified().ok(),
        })?;
        if let Some((seen, state)) = &*locked(&self.seen)
            && *seen == stamp
        {
            return Some(Arc::clone(state));
        }
        let state = self.trouble.note("state.json", State::load(&self.path))??;
        let state = Arc::new(state);
        *locked(&self.seen) = Some((stamp, Arc::clone(&state)));
        Some(state)
    }
}
