//! The user's home: where our files are, and those of multiclaude and Claude Code.

use crate::failure::{Failure, Outcome, io};
use crate::files::private_dir;
use multiclaude_hybrid_bridge::dirs::Dirs;
use multiclaude_hybrid_bridge::multiclaude::Paths;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long another process of ours may hold the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A user's home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    user: PathBuf,
}

impl Home {
    /// The name of the link that stands for multiclaude.
    pub const SHIM: &str = "multiclaude";
    /// The name of the link that stands for tmux.
    pub const PANE: &str = "tmux";
    /// The directory of the shim, below the home directory.
    pub const SHIM_DIR: &str = ".multiclaude/hybrid/shim";

    /// The home of this directory.
    pub fn new(user: impl Into<PathBuf>) -> Self {
        Self { user: user.into() }
    }

    /// The home of the user that runs this: `$HOME`.
    pub fn of_user() -> Outcome<Self> {
        match std::env::var_os("HOME") {
            Some(home) if Path::new(&home).is_absolute() => Ok(Self::new(home)),
            _ => Err(Failure::new("HOME is not set to a directory")
                .hint("set HOME to your home directory; ~/.multiclaude is looked for in it")),
        }
    }

    /// The directory.
    pub fn user(&self) -> &Path {
        &self.user
    }

    /// multiclaude's own files, `~/.multiclaude`. `credentials` and `hybrid/` in it are ours.
    pub fn multiclaude(&self) -> Paths {
        Paths::of_home(&self.user)
    }

    /// The files of the bridge, `~/.multiclaude-hybrid`.
    pub fn bridge(&self) -> Dirs {
        Dirs::of_home(&self.user)
    }

    /// Our directory in multiclaude's.
    pub fn hybrid(&self) -> PathBuf {
        self.multiclaude().root().join("hybrid")
    }

    /// The file with secrets, where there is no keychain.
    pub fn credentials(&self) -> PathBuf {
        self.multiclaude().root().join("credentials")
    }

    /// Our settings, which hold no secret.
    pub fn settings(&self) -> PathBuf {
        self.hybrid().join("settings.json")
    }

    /// The other agents' encryption keys, as first seen.
    pub fn pins(&self) -> PathBuf {
        self.hybrid().join("known_keys.json")
    }

    /// The sealed messages that left under an idempotency key.
    pub fn sent(&self) -> PathBuf {
        self.hybrid().join("sent.json")
    }

    /// The directory of the shim, on the PATH of the developer and of the agents' windows.
    pub fn shim_dir(&self) -> PathBuf {
        self.user.join(Self::SHIM_DIR)
    }

    /// The directory of the other link, which is on the PATH of a few calls of the real
    /// program alone: other programs find the real tmux.
    pub fn pane_dir(&self) -> PathBuf {
        self.hybrid().join("pane")
    }

    /// The link that stands for multiclaude.
    pub fn shim(&self) -> PathBuf {
        self.shim_dir().join(Self::SHIM)
    }

    /// The link that stands for tmux.
    pub fn pane(&self) -> PathBuf {
        self.pane_dir().join(Self::PANE)
    }

    /// Claude Code's settings of this user.
    pub fn claude_code(&self) -> PathBuf {
        self.user.join(".claude.json")
    }

    /// Makes our directories, private to the user. An existing `~/.multiclaude` that
    /// others may read is made private, too: credentials lie in it.
    pub fn make_private(&self) -> Outcome {
        private_dir(self.multiclaude().root())?;
        private_dir(&self.hybrid())
    }

    /// Keeps other processes of ours waiting until it is dropped, while something is
    /// read, changed and written back.
    pub fn lock(&self) -> Outcome<File> {
        self.make_private()?;
        let path = self.hybrid().join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(io("open", &path))?;
        let until = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let path = path.display();
                    return Err(Failure::new(format!("another process holds {path}"))
                        .hint(format!("see which one, and end it if it hangs: fuser {path}")));
                }
                Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
            }
        }
    }
}
