//! The contract with the real multiclaude: its files, its socket, its tmux.
//!
//! | file | what is in it |
//! |---|---|
//! | `state` | `state.json`, read only |
//! | `state_file` | the same, parsed again only when it was replaced |
//! | `message` | message files: reading what may be half written, writing our own |
//! | `socket` | the daemon's socket |
//! | `panes` | which tmux windows have a running claude |
//!
//! The bridge relies on nothing of multiclaude that is not in here.

mod message;
mod panes;
mod socket;
mod state;
mod state_file;

pub use message::{LocalMessage, Status};
pub use panes::{Pane, Panes, Windows};
pub use socket::{Daemon, DaemonError};
pub use state::{Ended, LocalAgent, LocalRepo, State, StateError, Window};

pub use state_file::StateFile;

use std::path::{Path, PathBuf};

/// Where multiclaude keeps its files.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The files of the user whose home this is.
    pub fn of_home(home: &Path) -> Self {
        Self { root: home.join(".multiclaude") }
    }

    /// multiclaude's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its state.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Its daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("daemon.sock")
    }

    /// The clone of a repo, in which supervisor and merge-queue work.
    pub fn clone_of(&self, nickname: &str) -> PathBuf {
        self.root.join("repos").join(nickname)
    }

    /// The messages of a repo, one directory per recipient.
    pub fn messages(&self, nickname: &str) -> PathBuf {
        self.root.join("messages").join(nickname)
    }
}
