//! The contract with the real multiclaude: its files, its socket, its tmux.
//!
//! | file | what is in it |
//! |---|---|
//! | `state` | `state.json`, read only |
//! | `state_file` | `state.json`, parsed again only when it was replaced |
//! | `message` | message files: reading those of multiclaude, writing our own |
//! | `socket` | the daemon's socket |
//! | `panes` | which tmux windows have a running claude |
//!
//! The bridge relies on multiclaude only as far as it is described here.

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

/// The paths of multiclaude's files.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The files of the user with this home.
    pub fn of_home(home: &Path) -> Self {
        Self { root: home.join(".multiclaude") }
    }

    /// The directory with all of multiclaude's files.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state of repos and agents.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The socket of multiclaude's daemon.
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
