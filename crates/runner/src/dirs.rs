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
//!   work/<id>/        what the worker is given; only the runner writes in here
//!     task.md         the task, byte for byte
//!     socket          through which it sends and receives
//!     mcp.json        how its claude starts our MCP server
//!     files/          the worker's own directory
//!       summary.md    what it wants to report, if it writes that
//! ```

use multiclaude_hybrid_bridge::dirs::make_dir;
use multiclaude_hybrid_client::protocol::{Repo, SpawnId};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const LOCK_TRIES: u32 = 10;

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
        WorkerDirs { root: self.workers().join(id.as_str()), given: self.work.join(id.as_str()) }
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
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = try_lock(&self.root.join("lock"))? {
                return Ok(Some(lock));
            }
            // Perhaps somebody looks whether a runner is running.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
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
    given: PathBuf,
}

impl WorkerDirs {
    /// Those of the supervisor that was started for `root`, whose worker is given
    /// `given`.
    pub fn at(root: PathBuf, given: PathBuf) -> Self {
        Self { root, given }
    }

    /// The runner's own part.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the worker is given. It cannot put links in here that the runner, which
    /// may be root, would follow.
    pub fn given(&self) -> &Path {
        &self.given
    }

    /// The worker's own directory.
    pub fn files(&self) -> PathBuf {
        self.given.join("files")
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
        self.given.join("task.md")
    }

    /// Through which the worker sends and receives.
    pub fn socket(&self) -> PathBuf {
        self.given.join("socket")
    }

    /// What the worker wants to report.
    pub fn summary(&self) -> PathBuf {
        self.files().join("summary.md")
    }

    /// Removes both parts, the runner's own last.
    ///
    /// # Errors
    /// As `unlink`; what is gone already is no error.
    pub fn remove(&self, keep_work: bool) -> io::Result<()> {
        if !keep_work {
            remove_tree(&self.given)?;
        }
        // A directory without it is no worker, should this be interrupted.
        gone(fs::remove_file(self.record()))?;
        gone(fs::remove_dir_all(&self.root))
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a directory, also one in which there are directories that nobody may write
/// in, as some build tools make them. What cannot be removed is set aside, so that it
/// is in nobody's way.
fn remove_tree(dir: &Path) -> io::Result<()> {
    match gone(fs::remove_dir_all(dir)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let _ = open_up(dir);
        }
        removed => return removed,
    }
    if gone(fs::remove_dir_all(dir)).is_ok() {
        return Ok(());
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::rename(dir, aside)
}

/// Lets their owner write in a directory and all below it. Links are not followed.
fn open_up(dir: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open(dir, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
