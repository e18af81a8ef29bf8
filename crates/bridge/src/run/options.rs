//! How a bridge runs, and why it may not start.

use crate::hop::Wishes;
use crate::inbox::Accept;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How a bridge runs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The user's home.
    pub home: PathBuf,
    /// Types that this machine serves under their bare names.
    pub serve: BTreeSet<String>,
    /// Where pushes are listened for.
    pub listen: Option<SocketAddr>,
    /// Where the coordinator reaches that.
    pub public_url: Option<String>,
    /// Never by stream.
    pub polling: bool,
    /// Whose messages are accepted.
    pub accept: Accept,
    /// What the user wants of the last hop.
    pub wishes: Wishes,
    /// Divides the bridge's times, for tests; 0 and 1 leave them.
    pub scale: u32,
}

/// Why a bridge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is one.
    #[error("a bridge of this home is running already")]
    Running,
    /// Its directory cannot be used.
    #[error("the bridge's directory cannot be used: {0}")]
    Dirs(#[from] io::Error),
    /// It cannot listen.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Agents cannot reach it.
    #[error("cannot listen on {path}: {error}")]
    Socket {
        /// Its socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The settings cannot be read.
    #[error("{0}")]
    Setup(String),
}
