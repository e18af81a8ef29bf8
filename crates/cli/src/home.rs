//! The files on this machine.
//!
//! `~/.multiclaude` is multiclaude's own; ours in it are `credentials` and
//! `hybrid/`. Of multiclaude's files nothing is changed but that the directory
//! itself becomes private.

use crate::failure::{Failure, Outcome, io};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long another process of ours may hold the lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// `~/.multiclaude`, and what is where in it.
#[derive(Debug, Clone)]
pub struct Home {
    user: PathBuf,
}

impl Home {
    /// The home of the user that runs this: `$HOME`.
    pub fn of_user() -> Outcome<Self> {
        match std::env::var_os("HOME") {
            Some(home) if Path::new(&home).is_absolute() => Ok(Self { user: home.into() }),
            _ => Err(Failure::new("HOME is not set to a directory")
                .hint("set HOME to your home directory; ~/.multiclaude is looked for in it")),
        }
    }

    /// The user's home directory.
    pub fn user(&self) -> &Path {
        &self.user
    }

    /// multiclaude's directory.
    pub fn root(&self) -> PathBuf {
        self.user.join(".multiclaude")
    }

    /// Ours in it.
    pub fn hybrid(&self) -> PathBuf {
        self.root().join("hybrid")
    }

    /// The file with secrets, where there is no keychain.
    pub fn credentials(&self) -> PathBuf {
        self.root().join("credentials")
    }

    /// Our settings; no secret is in them.
    pub fn settings(&self) -> PathBuf {
        self.hybrid().join("settings.json")
    }

    /// The other agents' encryption keys, as first seen.
    pub fn pins(&self) -> PathBuf {
        self.hybrid().join("known_keys.json")
    }

    /// multiclaude's state.
    pub fn state(&self) -> PathBuf {
        self.root().join("state.json")
    }

    /// multiclaude's daemon listens here.
    pub fn daemon_socket(&self) -> PathBuf {
        self.root().join("daemon.sock")
    }

    /// Makes our directories, private to the user. An existing `~/.multiclaude`
    /// that others may read is made private, too: credentials lie in it.
    pub fn make_private(&self) -> Outcome {
        for dir in [self.root(), self.hybrid()] {
            match fs::metadata(&dir) {
                Ok(found) if found.is_dir() => {
                    if found.uid() == rustix::process::geteuid().as_raw()
                        && found.mode() & 0o077 != 0
                    {
                        let private = Permissions::from_mode(0o700);
                        fs::set_permissions(&dir, private).map_err(io("make private", &dir))?;
                    }
                }
                Ok(_) => {
                    let path = dir.display();
                    return Err(Failure::new(format!("{path} is no directory"))
                        .hint(format!("move it out of the way: mv {path} {path}.old")));
                }
                Err(_) => DirBuilder::new().mode(0o700).create(&dir).map_err(io("create", &dir))?,
            }
        }
        Ok(())
    }

    /// Holds other processes of ours off until it is dropped, while something is
    /// read, changed and written back.
    pub fn lock(&self) -> Outcome<File> {
        self.make_private()?;
        let path = self.hybrid().join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io("open", &path))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::new(format!("another process holds {}", path.display()))
                        .hint(format!(
                            "see which one, and end it if it hangs: fuser {}",
                            path.display()
                        )));
                }
                Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
            }
        }
    }
}

/// Replaces `path` in one step by a file that only the user can read. The caller
/// holds the [`Home::lock`].
pub fn write_private(path: &Path, content: &[u8]) -> Outcome {
    Draft::write(path, content)?.place()
}

/// A file that only the user can read, written beside the one that it is to replace.
/// It is removed again unless it is placed. Its name is fixed, so that what a crash
/// leaves of a secret is gone with the next write.
#[derive(Debug)]
pub struct Draft {
    beside: PathBuf,
    path: PathBuf,
    is_placed: bool,
}

impl Draft {
    /// Writes what `path` is to hold. The caller holds the [`Home::lock`].
    pub fn write(path: &Path, content: &[u8]) -> Outcome<Self> {
        let draft = Self { beside: draft_of(path), path: path.to_owned(), is_placed: false };
        let write = || {
            remove_if_there(&draft.beside)?;
            let mut options = File::options();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&draft.beside)?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().map_err(io("write", path))?;
        Ok(draft)
    }

    /// Puts it in its place, which takes no room on the disk.
    pub fn place(mut self) -> Outcome {
        fs::rename(&self.beside, &self.path).map_err(io("write", &self.path))?;
        self.is_placed = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            // The next write removes what cannot be removed now.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Where the draft of `path` is.
pub fn draft_of(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    draft.into()
}

/// Removes a file; whether it was there.
pub fn remove_if_there(path: &Path) -> std::io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses what others could have changed: it decides where tokens go.
pub fn check_ours(path: &Path) -> Outcome {
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    let (mode, shown) = (found.mode() & 0o7777, path.display());
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Failure::new(format!("{shown} belongs to another user"))
            .hint(format!("look at what is in it, then: sudo chown $(id -u) {shown}")));
    }
    if mode & 0o022 != 0 {
        return Err(Failure::new(format!("{shown} has mode {mode:04o}: others may change it"))
            .hint(format!("look at what is in it, then: chmod go-w {shown}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_is_not_placed_leaves_nothing_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        write_private(&path, b"before").unwrap();
        // What a crash has left.
        fs::write(draft_of(&path), "half of a secr").unwrap();
        drop(Draft::write(&path, b"after").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        Draft::write(&path, b"after").unwrap().place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        // A write that fails.
        let nowhere = dir.path().join("none/credentials");
        Draft::write(&nowhere, b"x").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
