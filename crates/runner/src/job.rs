//! What the runner and a worker's supervisor tell each other, in files.

use multiclaude_hybrid_bridge::dirs::write_durably;
use multiclaude_hybrid_bridge::hop::Process;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What a supervisor runs. It holds no secret: the supervisor inherits the runner's
/// environment, and passes on what is named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The request's id.
    pub id: String,
    /// The worker's own directory.
    pub work: PathBuf,
    /// One after the other, until one fails.
    pub steps: Vec<Step>,
    /// What ends whatever the steps have started outside of their own processes; run
    /// at the end, always.
    pub cleanup: Vec<Step>,
    /// Variables that are passed on from the runner's environment; all, if absent.
    pub inherited: Option<Vec<String>>,
    /// Variables that are set.
    pub set: BTreeMap<String, String>,
    /// How long all steps together may take.
    pub timeout_secs: u64,
    /// How many bytes of output are kept.
    pub output_max: u64,
    /// How many bytes the worker's directory may have.
    pub disk_max: u64,
    /// Is the worker ended when the lease has run out?
    pub ends_with_lease: bool,
    /// The control group that is made for the worker, where that is allowed.
    pub cgroup: Option<Cgroup>,
    /// Limits that this machine does not enforce: `memory`, `cpu`, `processes`.
    pub not_enforced: Vec<String>,
    /// The engine, if the steps run a container: their exit code is that of its `run`.
    pub engine: Option<String>,
    /// Who the steps run as, if not as the runner.
    pub user: Option<User>,
}

/// A user that workers run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
    /// Its home.
    pub home: String,
    /// Its name.
    pub name: String,
}

/// A control group, and what it limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Its directory.
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
    /// Where it runs.
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
    /// It ran longer than it may.
    Timeout,
    /// Its directory has grown larger than it may.
    Disk,
    /// Somebody cancelled the request.
    Cancelled,
    /// The request is another runner's now, or has ended.
    LeaseLost,
    /// The lease ran out, and another runner may have the request.
    LeaseOver,
    /// The runner was ended, and the wait for its workers was over.
    Drained,
}

impl Stop {
    /// Is there time for the worker to end in order?
    pub fn is_gentle(self) -> bool {
        !matches!(self, Self::LeaseOver | Self::LeaseLost)
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
    /// What went wrong beside that: a program that cannot be started, a supervisor
    /// that was killed.
    pub error: Option<String>,
    /// The program of the last step.
    pub program: String,
    /// The engine, if that was the `run` of one.
    pub engine: Option<String>,
    /// How long it took.
    pub took_ms: u64,
    /// Bytes that it printed.
    pub printed: u64,
    /// Processes that could not be ended.
    pub remaining: u64,
}

impl End {
    /// Of a worker that never ran, or whose supervisor is gone.
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

    /// Did it end well, with all of its processes?
    pub fn is_success(&self) -> bool {
        self.stopped.is_none()
            && self.error.is_none()
            && self.code == Some(0)
            && self.remaining == 0
    }
}

/// Bytes of the file that orders a worker to stop.
const ORDER: usize = 64;

/// Makes room for the order to stop, so that a full disk cannot keep it away.
///
/// # Errors
/// As `write`.
pub fn prepare(stop: &Path) -> io::Result<()> {
    fs::write(stop, [b' '; ORDER])
}

/// Orders the worker's supervisor to stop it.
///
/// # Errors
/// As `write`; the directory may be gone.
pub fn order(path: &Path, stop: Stop) -> io::Result<()> {
    let mut line = serde_json::to_vec(&stop)?;
    line.resize(ORDER, b' ');
    fs::File::options().write(true).open(path)?.write_all_at(&line, 0)
}

/// Reads a file; nothing if it is not there.
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
/// As `write`.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_durably(path, &serde_json::to_vec(value)?, 0o600)
}
