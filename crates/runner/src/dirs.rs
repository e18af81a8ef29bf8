//! Where the runner keeps its state, and the directories of its workers.
//!
//! ```text
//! ~/.multiclaude-hybrid/runner/
//!   lock              held while a runner runs
//!   paused            while it is there, nothing is claimed
//!   status.json       what `runner status` shows
//!   runner.log        structured logs, and the log before it
//!   claims/<owner>/<repo>   the key under which the next request is claimed
//!   workers/<id>/     one worker: only the runner's user can enter
//!     worker.json     the claim: request, lease, name
//!     job.json        what its supervisor runs
//!     lock            held by the supervisor, from before its start to its end
//!     started.json    the supervisor's process; written before the worker's first step
//!     lease           when the lease ends, rewritten at each renewal
//!     stop            why the supervisor is to stop the worker
//!     output.log      what the worker prints, and the file before it
//!     end.json        how the worker ended
//!   work/<id>/        the worker's own directory
//!     task.md         the task, byte for byte
//!     socket          through which it sends and receives
//!     summary.md      what it wants to report, if it writes that
//! ```

use multiclaude_hybrid_bridge::dirs::make_dir;
use multiclaude_hybrid_client::protocol::{Repo, SpawnId};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The runner's directory.
#[derive(Debug, Clone)]
pub struct Dirs {
    root: PathBuf,
    work: PathBuf,
}

impl Dirs {
    /// The directory of the user whose home this is; `work` for the workers' own
    /// directories, if they are to be elsewhere.
    pub fn of_home(home: &Path, work: Option<&Path>) -> Self {
        let root = home.join(".multiclaude-hybrid/runner");
        let work = work.map_or_else(|| root.join("work"), Path::to_owned);
        Self { root, work }
    }

    /// While this file is there, nothing is claimed.
    pub fn paused(&self) -> PathBuf {
        self.root.join("paused")
    }

    /// What a running runner last reported.
    pub fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.root.join("runner.log")
    }

    /// The key under which the next request of a repo is claimed.
    pub fn claim(&self, repo: &Repo) -> PathBuf {
        self.root.join("claims").join(repo.as_str())
    }

    /// The directory of all workers.
    pub fn workers(&self) -> PathBuf {
        self.root.join("workers")
    }

    /// The directories of one worker.
    pub fn worker(&self, id: &SpawnId) -> WorkerDirs {
        WorkerDirs { root: self.workers().join(id.as_str()), work: self.work.join(id.as_str()) }
    }

    /// Creates the directories.
    ///
    /// # Errors
    /// As `mkdir`.
    pub fn create(&self) -> io::Result<()> {
        make_dir(&self.workers())?;
        // Another user's workers pass through to their own directories.
        DirBuilder::new().recursive(true).mode(0o711).create(&self.work)
    }

    /// Takes the runner's lock; nothing if a live process holds it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn lock(&self) -> io::Result<Option<File>> {
        make_dir(&self.root)?;
        try_lock(&self.root.join("lock"))
    }

    /// Is a runner of this home running?
    pub fn is_running(&self) -> bool {
        is_locked(&self.root.join("lock"))
    }
}

/// Takes the lock that a file is; nothing if it is held.
///
/// # Errors
/// The file cannot be opened.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The directories of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerDirs {
    root: PathBuf,
    work: PathBuf,
}

impl WorkerDirs {
    /// Those of the supervisor that was started for `root`.
    pub fn at(root: PathBuf, work: PathBuf) -> Self {
        Self { root, work }
    }

    /// The runner's own part.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The worker's part.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The claim.
    pub fn record(&self) -> PathBuf {
        self.root.join("worker.json")
    }

    /// What the supervisor runs.
    pub fn job(&self) -> PathBuf {
        self.root.join("job.json")
    }

    /// Held by the supervisor.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The supervisor's process.
    pub fn started(&self) -> PathBuf {
        self.root.join("started.json")
    }

    /// When the lease ends.
    pub fn lease(&self) -> PathBuf {
        self.root.join("lease")
    }

    /// Why the worker is to be stopped.
    pub fn stop(&self) -> PathBuf {
        self.root.join("stop")
    }

    /// What the worker prints.
    pub fn output(&self) -> PathBuf {
        self.root.join("output.log")
    }

    /// How the worker ended.
    pub fn end(&self) -> PathBuf {
        self.root.join("end.json")
    }

    /// The task.
    pub fn task(&self) -> PathBuf {
        self.work.join("task.md")
    }

    /// Through which the worker sends and receives.
    pub fn socket(&self) -> PathBuf {
        self.work.join("socket")
    }

    /// What the worker wants to report.
    pub fn summary(&self) -> PathBuf {
        self.work.join("summary.md")
    }

    /// Removes both parts, the runner's own last.
    ///
    /// # Errors
    /// As `unlink`; what is gone already is no error.
    pub fn remove(&self, keep_work: bool) -> io::Result<()> {
        let gone = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        if !keep_work {
            gone(fs::remove_dir_all(&self.work))?;
        }
        // A directory without it is no worker, should this be interrupted.
        gone(fs::remove_file(self.record()))?;
        gone(fs::remove_dir_all(&self.root))
    }
}
