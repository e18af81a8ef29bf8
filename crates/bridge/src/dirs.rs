//! The bridge's directory, and writes that survive a crash or a power cut.
//!
//! Everything is in `~/.multiclaude-hybrid`, beside multiclaude's own
//! directory: messages on their way survive the removal of `~/.multiclaude`.
//!
//! ```text
//! ~/.multiclaude-hybrid/
//!   identity.json            the instance id and the label of this home
//!   bridge/
//!     lock                   held while a bridge runs
//!     status.json            the content of `bridge status`
//!     socket                 the socket for agents' MCP servers
//!     bridge.log             structured logs, and the log before it
//!     repos/<owner>/<repo>/
//!       nickname             multiclaude's name for the repo when it was last served
//!       agents.json          the agents that are registered from here
//!       retired.json         the roles that stood down, as multiclaude had them
//!       decisions.json       whose messages the human accepts
//!       links.json           names of other machines, and when they left
//!       out/<name>/          the targets of the links in multiclaude's messages
//!       queue/<name>/        taken from there, in the order of sending
//!       unsent/              messages that can neither be sent nor returned
//!       inbox/<local>/       incoming messages, by how far they have come
//!       inbox/<local>/flight.json  the one that is being handed to its agent
//! ```

use multiclaude_hybrid_client::protocol::Repo;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const LOCK_TRIES: u32 = 10;

/// The bridge's directory.
#[derive(Debug, Clone)]
pub struct Dirs {
    root: PathBuf,
}

impl Dirs {
    /// The directory of the user with this home.
    pub fn of_home(home: &Path) -> Self {
        Self { root: home.join(".multiclaude-hybrid") }
    }

    /// The instance id and the label of this home.
    pub fn identity(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    fn bridge(&self) -> PathBuf {
        self.root.join("bridge")
    }

    /// The lock that a running bridge holds.
    pub fn lock_path(&self) -> PathBuf {
        self.bridge().join("lock")
    }

    /// The last report of a running bridge, for `bridge status`.
    pub fn status(&self) -> PathBuf {
        self.bridge().join("status.json")
    }

    /// The socket for agents' MCP servers.
    pub fn socket(&self) -> PathBuf {
        self.bridge().join("socket")
    }

    /// The structured log of the bridge.
    pub fn log(&self) -> PathBuf {
        self.bridge().join("bridge.log")
    }

    /// The directory of one repo.
    pub fn repo(&self, repo: &Repo) -> RepoDirs {
        RepoDirs { root: self.bridge().join("repos").join(repo.as_str()) }
    }

    /// Takes the lock of this home's bridge; `None` if a live process holds it. The system
    /// releases it when the process ends.
    ///
    /// # Errors
    /// The directory cannot be created or the file cannot be opened.
    pub fn lock(&self) -> io::Result<Option<File>> {
        make_dir(&self.bridge())?;
        // The directory may have been created with other permissions.
        fs::set_permissions(&self.root, Permissions::from_mode(0o700))?;
        lock(&self.lock_path())
    }

    /// Is a bridge of this home running?
    pub fn is_running(&self) -> bool {
        is_locked(&self.lock_path())
    }
}

/// Takes the lock on a file, also if another process is just checking whether it is held;
/// `None` if another process holds it.
///
/// # Errors
/// The file cannot be opened.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..LOCK_TRIES {
        if let Some(file) = try_lock(path)? {
            return Ok(Some(file));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}

/// Takes the lock on a file; `None` if another process holds it.
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

/// Does a process hold the lock on a file?
pub fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The directory of one repo.
#[derive(Debug, Clone)]
pub struct RepoDirs {
    root: PathBuf,
}

impl RepoDirs {
    /// The agents that are registered from here.
    pub fn agents(&self) -> PathBuf {
        self.root.join("agents.json")
    }

    /// The roles that stood down, as multiclaude had them.
    pub fn retired(&self) -> PathBuf {
        self.root.join("retired.json")
    }

    /// multiclaude's name for the repo when it was last served.
    pub fn nickname(&self) -> PathBuf {
        self.root.join("nickname")
    }

    /// Names of other machines, and when they left.
    pub fn links(&self) -> PathBuf {
        self.root.join("links.json")
    }

    /// The targets of the links.
    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// Whose messages the human accepts.
    pub fn decisions(&self) -> PathBuf {
        self.root.join("decisions.json")
    }

    /// Messages in the order of sending, by recipient.
    pub fn queue(&self) -> PathBuf {
        self.root.join("queue")
    }

    /// Messages that can neither be sent nor returned: they never became readable, or their
    /// sender has ended.
    pub fn unsent(&self) -> PathBuf {
        self.root.join("unsent")
    }

    /// Incoming messages, by local agent.
    pub fn inbox(&self) -> PathBuf {
        self.root.join("inbox")
    }
}

/// Creates a directory and its parents, accessible to the user only.
///
/// # Errors
/// It cannot be created.
pub fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// It cannot be opened, or `fsync` fails.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file in one step that survives a power cut: a reader sees the old content or
/// the new one. A new file gets this `mode`.
///
/// # Errors
/// The file cannot be written; the draft is removed.
pub fn write_durably(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(ErrorKind::InvalidInput));
    };
    let draft = dir.join(format!(".{}.draft", name.to_string_lossy()));
    let written = (|| {
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_dir(dir)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// The names in a directory, sorted; none if it does not exist. Drafts and other hidden
/// files are left out.
///
/// # Errors
/// The directory cannot be read.
pub fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes a file, if it exists.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;

    #[test]
    fn one_process_at_a_time_holds_the_lock_and_others_see_it() {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::of_home(home.path());
        assert!(!dirs.is_running());
        let held = dirs.lock().unwrap().unwrap();
        assert!(dirs.is_running() && dirs.lock().unwrap().is_none());
        drop(held);
        // Another test may just start a program, which has the file open until it runs.
        let deadline = clock::awake() + Duration::from_secs(20);
        while dirs.is_running() {
            assert!(clock::awake() < deadline, "it is held still");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(dirs.lock().unwrap().is_some());
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_failure_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_durably(&path, b"one", 0o600).unwrap();
        write_durably(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/file"), "").unwrap();
        assert!(write_durably(&dir.path().join("b"), b"x", 0o600).is_err());
        assert_eq!(names(dir.path()).unwrap(), ["a.json", "b"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
