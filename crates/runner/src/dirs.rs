//! The runner's directory, and the directories of its workers.
//!
//! ```text
//! ~/.multiclaude-hybrid/runner/
//!   lock              held while a runner runs
//!   paused            while it is there, nothing is claimed
//!   status.json       the content of `runner status`
//!   runner.log        structured logs, and the log before it
//!   claims/<owner>/<repo>   the key under which the next request is claimed
//!   workers/<id>/     one worker: only the runner's user can enter
//!     worker.json     the claim: request, lease, name
//!     job.json        the job of its supervisor
//!     lock            held by the supervisor, from before its start to its end
//!     started.json    the supervisor's process; written before the worker's first step
//!     lease           when the lease ends, rewritten at each renewal
//!     stop            why the supervisor is to stop the worker
//!     output.log      the worker's output, and the file before it
//!     end.json        how the worker ended
//!   work/<id>/        the worker's input; only the runner writes in here
//!     task.md         the task, byte for byte
//!     socket          the socket through which it sends and receives
//!     mcp.json        how its claude starts our MCP server
//!     files/          the worker's own directory
//!       summary.md    the worker's report, if it writes one
//! ```

use multiclaude_hybrid_bridge::dirs::{self, make_dir};
use multiclaude_hybrid_client::protocol::{Repo, SpawnId};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The runner's directory.
#[derive(Debug, Clone)]
pub struct Dirs {
    root: PathBuf,
    work: PathBuf,
}

impl Dirs {
    /// The directory of the user with this home; `work` is the place for the workers' own
    /// directories, if it is not in the home.
    pub fn of_home(home: &Path, work: Option<&Path>) -> Self {
        let root = home.join(".multiclaude-hybrid/runner");
        let work = work.map_or_else(|| root.join("work"), Path::to_owned);
        Self { root, work }
    }

    /// While this file exists, nothing is claimed.
    pub fn paused(&self) -> PathBuf {
        self.root.join("paused")
    }

    /// The last report of a running runner, for `runner status`.
    pub fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// The structured log of the runner.
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

    /// Creates the directories that all workers share.
    ///
    /// # Errors
    /// A directory cannot be created.
    pub fn create(&self) -> io::Result<()> {
        make_dir(&self.workers())?;
        // Workers of another user have to reach their own directories.
        DirBuilder::new().recursive(true).mode(0o711).create(&self.work)
    }

    /// Takes the runner's lock; `None` if a live process holds it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn lock(&self) -> io::Result<Option<File>> {
        make_dir(&self.root)?;
        dirs::lock(&self.root.join("lock"))
    }

    /// Is a runner of this home running?
    pub fn is_running(&self) -> bool {
        dirs::is_locked(&self.root.join("lock"))
    }
}

/// The directories of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerDirs {
    root: PathBuf,
    given: PathBuf,
}

impl WorkerDirs {
    /// The directories of a supervisor that was started for `root`, with the worker's
    /// input in `given`.
    pub fn at(root: PathBuf, given: PathBuf) -> Self {
        Self { root, given }
    }

    /// The runner's own files of this worker.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The worker's input. The worker cannot write here, so it cannot place links that the
    /// runner, which may be root, would follow.
    pub fn given(&self) -> &Path {
        &self.given
    }

    /// The worker's own directory.
    pub fn files(&self) -> PathBuf {
        self.given.join("files")
    }

    /// The claim, on disk.
    pub fn record(&self) -> PathBuf {
        self.root.join("worker.json")
    }

    /// The job of the supervisor.
    pub fn job(&self) -> PathBuf {
        self.root.join("job.json")
    }

    /// The lock that the supervisor holds.
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

    /// The worker's output.
    pub fn output(&self) -> PathBuf {
        self.root.join("output.log")
    }

    /// How the worker ended.
    pub fn end(&self) -> PathBuf {
        self.root.join("end.json")
    }

    /// The task, byte for byte.
    pub fn task(&self) -> PathBuf {
        self.given.join("task.md")
    }

    /// The socket through which the worker sends and receives.
    pub fn socket(&self) -> PathBuf {
        self.given.join("socket")
    }

    /// The worker's own report.
    pub fn summary(&self) -> PathBuf {
        self.files().join("summary.md")
    }

    /// Removes the worker's input, unless `keep_work`, and then the runner's own files.
    ///
    /// # Errors
    /// A file cannot be removed. Missing files are not an error.
    pub fn remove(&self, keep_work: bool) -> io::Result<()> {
        if !keep_work {
            remove_tree(&self.given)?;
        }
        // If this is interrupted, a directory without a record is not a worker.
        ignore_missing(fs::remove_file(self.record()))?;
        ignore_missing(fs::remove_dir_all(&self.root))
    }
}

fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a directory, also if it has read-only directories, which some build tools
/// make. If it cannot be removed, it is renamed, so that its name is free.
fn remove_tree(dir: &Path) -> io::Result<()> {
    match ignore_missing(fs::remove_dir_all(dir)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let _ = make_writable(dir);
        }
        removed => return removed,
    }
    if ignore_missing(fs::remove_dir_all(dir)).is_ok() {
        return Ok(());
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::rename(dir, aside)
}

/// Makes a directory and all below it writable for its owner. Links are not followed.
fn make_writable(dir: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open(dir, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}
