//! The links in `messages/<repo>/` that lead messages for other machines into our
//! directories.
//!
//! multiclaude removes directories of names that are not in its state, but follows links
//! and does not remove their targets.

use super::queue::adopt_files;
use crate::dirs::{RepoDirs, make_dir, names};
use crate::lock::locked;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing::info;

/// The wanted state of the directories in `messages/<repo>/`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Names of other machines, and of roles that stand down here.
    pub remote: BTreeSet<String>,
    /// Names of local agents, which have plain directories.
    pub local: BTreeSet<String>,
    /// Local names that are registered from here. When such an agent has ended, multiclaude
    /// removes its directory, so that never becomes a link.
    pub registered: BTreeSet<String>,
}

/// The links of one repo.
#[derive(Debug, Clone)]
pub struct Links {
    messages: PathBuf,
    dirs: RepoDirs,
    /// The names of local agents, as of the last scan. It is locked during a change: two
    /// concurrent changes would take each other's drafts.
    local: Arc<Mutex<BTreeSet<String>>>,
}

/// The entry in the place of a link.
enum Found {
    Nothing,
    Ours,
    /// Our link from before the home was moved.
    Stale,
    /// Our link for a name that differs in case, on a file system that ignores case.
    /// It serves both names: a message is sent to the recipient in its file.
    OtherCase,
    Directory,
    Foreign,
}

impl Links {
    /// The links in `messages`, with targets in `dirs`.
    pub fn new(messages: PathBuf, dirs: RepoDirs) -> Self {
        Self { messages, dirs, local: Arc::default() }
    }

    /// Brings the directory into the wanted state; returns the names for which that failed,
    /// with the reasons. Every directory of an unknown name becomes a link, and its messages
    /// are taken.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub fn make(&self, wanted: &Wanted) -> io::Result<BTreeMap<String, String>> {
        fs::create_dir_all(&self.messages)?;
        locked(&self.local).clone_from(&wanted.local);
        let mut failed = BTreeMap::new();
        for name in &wanted.local {
            if let Err(error) = self.unlink(name) {
                failed.insert(name.clone(), error.to_string());
            }
        }
        let present = names(&self.messages)?;
        for name in &wanted.remote {
            if let Err(error) = self.link(name) {
                failed.insert(name.clone(), error.to_string());
            }
        }
        for name in present {
            if wanted.remote.contains(&name) {
                continue;
            }
            if !wanted.local.contains(&name)
                && !wanted.registered.contains(&name)
                && let Err(error) = self.link_directory(&name)
            {
                failed.insert(name, error.to_string());
            }
        }
        Ok(failed)
    }

    /// Removes all our links; messages that were taken stay in the queue.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn remove_all(&self) -> io::Result<()> {
        for name in names(&self.messages)? {
            self.unlink(&name)?;
        }
        Ok(())
    }

    /// Makes a link for `name`, before a message with that sender is placed.
    ///
    /// # Errors
    /// Its place is in use, or it cannot be made.
    pub fn link(&self, name: &str) -> io::Result<()> {
        let local = locked(&self.local);
        if let Some(local) = self.same_directory(name, &local) {
            return Err(io::Error::other(format!(
                "{local} is an agent of this machine, and this file system does not distinguish its directory from that of {name}; rename one of the two",
            )));
        }
        let (link, target) = (self.messages.join(name), self.target(name));
        // Without its target, a link makes `message send` fail.
        make_dir(&target)?;
        match self.inspect(name)? {
            Found::Ours | Found::OtherCase => Ok(()),
            Found::Nothing => match symlink(&target, &link) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.adopt(name),
                Ok(()) => {
                    info!(name, "linked");
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Found::Stale => {
                fs::remove_file(&link)?;
                symlink(&target, &link)
            }
            Found::Directory => self.adopt(name),
            Found::Foreign => Err(io::Error::other(format!(
                "{} exists and is not a link of the bridge",
                link.display()
            ))),
        }
    }

    /// Replaces the directory of an unknown name by a link; other entries stay.
    fn link_directory(&self, name: &str) -> io::Result<()> {
        match self.inspect(name)? {
            // Even if it is empty: a message may be written into it next.
            Found::Directory => self.link(name),
            _ => Ok(()),
        }
    }

    /// Removes our link for a name, if there is one.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn unlink(&self, name: &str) -> io::Result<()> {
        let _one = locked(&self.local);
        if matches!(self.inspect(name)?, Found::Ours | Found::Stale | Found::OtherCase) {
            fs::remove_file(self.messages.join(name))?;
            info!(name, "link removed");
        }
        Ok(())
    }

    /// Replaces a directory that multiclaude made by a link, and takes its messages.
    fn adopt(&self, name: &str) -> io::Result<()> {
        let (link, target) = (self.messages.join(name), self.target(name));
        let draft = self.dirs.out().join(format!(".{name}.link"));
        // A crash may have left the directory of an earlier exchange.
        take_over(&draft, &target)?;
        symlink(&target, &draft)?;
        // In one step, so that a writer always finds the directory or the link.
        if renameat_with(CWD, &draft, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
            info!(name, "directory replaced by a link");
            return take_over(&draft, &target);
        }
        // It is another file system, or one without exchanges.
        fs::remove_file(&draft)?;
        adopt_files(&link, &target)?;
        match remove_empty(&link) {
            Ok(()) => symlink(&target, &link),
            // Another message was written: the next scan takes it.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The local agent with the same directory as `name`: the names differ in case only, and
    /// the file system ignores case.
    fn same_directory<'a>(&self, name: &str, local: &'a BTreeSet<String>) -> Option<&'a String> {
        let lower = name.to_lowercase();
        let same = |other: &&String| *other != name && other.to_lowercase() == lower;
        local.iter().find(same).filter(|_| ignores_case(&self.messages))
    }

    fn target(&self, name: &str) -> PathBuf {
        self.dirs.out().join(name)
    }

    fn inspect(&self, name: &str) -> io::Result<Found> {
        let link = self.messages.join(name);
        let kind = match fs::symlink_metadata(&link) {
            Ok(found) => found.file_type(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        if kind.is_dir() {
            return Ok(Found::Directory);
        }
        if !kind.is_symlink() {
            return Ok(Found::Foreign);
        }
        let (leads_to, target) = (fs::read_link(&link)?, self.target(name));
        let tail = |path: &Path, count: usize| {
            let parts: Vec<_> = path
                .components()
                .rev()
                .take(count)
                .map(|part| part.as_os_str().to_owned())
                .collect();
            parts
        };
        Ok(if leads_to == target {
            Found::Ours
        } else if leads_to.parent() == target.parent() {
            Found::OtherCase
        } else if tail(&leads_to, 6) == tail(&target, 6) {
            Found::Stale
        } else {
            Found::Foreign
        })
    }
}

/// Does the file system of `messages/<repo>` ignore case?
fn ignores_case(messages: &Path) -> bool {
    let Some((parent, nickname)) = messages.parent().zip(messages.file_name()) else {
        return false;
    };
    let parent_name = parent.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    let other = parent.with_file_name(parent_name).join(nickname);
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    identity(messages).is_some_and(|found| identity(&other) == Some(found))
}

/// Takes the messages of a directory that was exchanged for a link, and removes it.
fn take_over(draft: &Path, target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(draft) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return fs::remove_file(draft),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // A writer that opened the directory before the exchange may add a last file.
    for _ in 0..10 {
        adopt_files(draft, target)?;
        match remove_empty(draft) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
    Err(io::Error::other(format!("{} cannot be emptied", draft.display())))
}

/// Removes a directory without message files.
fn remove_empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        } else if entry.path().extension().is_none_or(|extension| extension != "json") {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(dir)
}

/// Completes exchanges that a crash interrupted.
pub(super) fn recover(dirs: &RepoDirs) -> io::Result<()> {
    for entry in fs::read_dir(dirs.out())? {
        let entry = entry?;
        let file = entry.file_name();
        let name = file.to_str().and_then(|file| file.strip_prefix('.')?.strip_suffix(".link"));
        if let Some(name) = name {
            let target = dirs.out().join(name);
            make_dir(&target)?;
            take_over(&entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
