//! Options of a bridge, and errors of its start.

use crate::hop::HopOptions;
use crate::inbox::Accept;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The options of `bridge run`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The user's home.
    pub home: PathBuf,
    /// Types that this machine serves under their bare names.
    pub serve: BTreeSet<String>,
    /// The address to receive pushes on.
    pub listen: Option<SocketAddr>,
    /// The URL by which the coordinator reaches that address.
    pub public_url: Option<String>,
    /// Never use a stream?
    pub polling: bool,
    /// Whose messages are accepted.
    pub accept: Accept,
    /// The user's options for the last hop.
    pub hop: HopOptions,
    /// Divides the bridge's times, for tests; 0 and 1 do not change them.
    pub scale: u32,
}

/// Why a bridge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one is running.
    #[error("a bridge of this home is running already")]
    Running,
    /// Its directory cannot be used.
    #[error("the bridge's directory cannot be used: {0}")]
    Dirs(#[from] io::Error),
    /// It cannot listen for pushes.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The given address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// It cannot listen for agents.
    #[error("cannot listen on {path}: {error}")]
    Socket {
        /// The path of its socket.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The settings cannot be read.
    #[error("{0}")]
    Setup(String),
}
