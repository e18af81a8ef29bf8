//! The files through which the runner and a worker's supervisor communicate.

use multiclaude_hybrid_bridge::dirs::write_durably;
use multiclaude_hybrid_bridge::hop::Process;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The work of a supervisor. It holds no secret: the supervisor inherits the runner's
/// environment, and passes on the variables that are named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The request's id.
    pub id: String,
    /// The worker's own directory.
    pub work: PathBuf,
    /// The steps, run one after the other until one fails.
    pub steps: Vec<Step>,
    /// Steps that are always run at the end. They end things that the other steps have
    /// started outside of their own processes.
    pub cleanup: Vec<Step>,
    /// Variables to pass on from the runner's environment; all, if absent.
    pub inherited: Option<Vec<String>>,
    /// Variables to set.
    pub set: BTreeMap<String, String>,
    /// How long all steps together may take.
    pub timeout_secs: u64,
    /// How many bytes of output are kept.
    pub output_max: u64,
    /// How many bytes the worker's directory may take.
    pub disk_max: u64,
    /// Is the worker ended when the lease has run out?
    pub ends_with_lease: bool,
    /// The control group that is made for the worker, where that is allowed.
    pub cgroup: Option<Cgroup>,
    /// Limits that this machine does not enforce: `memory`, `cpu`, `processes`.
    pub not_enforced: Vec<String>,
    /// The engine, if the steps run a container: their exit code is that of its `run`.
    pub engine: Option<String>,
    /// The user to run the steps as, if not the runner's.
    pub user: Option<User>,
}

/// A user that workers run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The numeric user id.
    pub uid: u32,
    /// The numeric id of the user's group.
    pub gid: u32,
    /// The user's home directory.
    pub home: String,
    /// The login name.
    pub name: String,
}

/// A control group, and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The group's directory below `/sys/fs/cgroup`.
    pub path: PathBuf,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

/// A program and its arguments; no shell reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The directory that it runs in.
    pub dir: PathBuf,
}

/// The supervisor's process, written before the first step is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The supervisor.
    pub supervisor: Process,
    /// Limits that this machine does not enforce.
    pub not_enforced: Vec<String>,
}

/// Why a worker was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It ran longer than allowed.
    Timeout,
    /// Its directory has grown larger than allowed.
    Disk,
    /// The request was cancelled.
    Cancelled,
    /// Another runner has the request, or it has ended.
    LeaseLost,
    /// The lease has expired, and another runner may have the request.
    #[serde(rename = "lease_over")]
    LeaseExpired,
    /// The runner was stopped, and did not wait longer for its workers.
    Drained,
}

impl Stop {
    /// Is there time for the worker to end on its own?
    pub fn is_gentle(self) -> bool {
        !matches!(self, Self::LeaseExpired | Self::LeaseLost)
    }
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Why it was stopped, if it was.
    pub stopped: Option<Stop>,
    /// The exit code of the last step that ran.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Another failure: a program that cannot be started, a supervisor that was killed.
    pub error: Option<String>,
    /// The program of the last step.
    pub program: String,
    /// The engine, if the last step was the `run` of one.
    pub engine: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Bytes that it printed.
    pub printed: u64,
    /// Processes that could not be ended.
    pub remaining: u64,
}

impl End {
    /// The end of a worker that never ran, or whose supervisor was killed.
    pub fn failed(error: impl Into<String>) -> Self {
        Self {
            stopped: None,
            code: None,
            signal: None,
            error: Some(error.into()),
            program: String::new(),
            engine: None,
            took_ms: 0,
            printed: 0,
            remaining: 0,
        }
    }

    /// Did it succeed, and did all of its processes end?
    pub fn is_success(&self) -> bool {
        self.stopped.is_none()
            && self.error.is_none()
            && self.code == Some(0)
            && self.remaining == 0
    }
}

/// Bytes of the file that makes a supervisor stop its worker.
const STOP_BYTES: usize = 64;

/// Reserves space for [`write_stop`], so that a full disk does not prevent it.
///
/// # Errors
/// The file cannot be written.
pub fn reserve_stop(stop: &Path) -> io::Result<()> {
    fs::write(stop, [b' '; STOP_BYTES])
}

/// Makes the worker's supervisor stop it.
///
/// # Errors
/// The file cannot be written; the directory may have been removed.
pub fn write_stop(path: &Path, stop: Stop) -> io::Result<()> {
    let mut line = serde_json::to_vec(&stop)?;
    line.resize(STOP_BYTES, b' ');
    fs::File::options().write(true).open(path)?.write_all_at(&line, 0)
}

/// Reads a file; `None` if it does not exist.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file in one step that survives a power cut.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_durably(path, &serde_json::to_vec(value)?, 0o600)
}
