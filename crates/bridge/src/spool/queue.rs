//! The queue of outgoing messages: a directory per recipient, in which a file's name begins
//! with its place in the order.

use crate::clock;
use crate::dirs::{RepoDirs, make_dir, names, remove};
use crate::multiclaude::LocalMessage;
use crate::names::DAEMON;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{info, warn};

/// A file that is incomplete for longer than this stays so: its writer has died.
const HALF_WRITTEN: Duration = Duration::from_mins(1);
/// Digits of a place in the order: nanoseconds since the epoch.
const DIGITS: usize = 20;
/// Levels of directories that are searched: a recipient `a/b` has two.
const DEPTH: usize = 4;

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the order, in nanoseconds since the epoch.
    pub place: i64,
    /// The name of multiclaude's file, without `.json`.
    pub id: String,
    /// The path of the file.
    pub path: PathBuf,
}

/// Takes files out of the targets of the links, in the order of sending.
///
/// multiclaude's ids are random, so the order is that of the timestamps in the files. One
/// scan of a directory may miss a file that is older than one it finds, but the next scan
/// does not. So a message is released by the scan after the one that found it. A message
/// that a later scan finds comes after all released ones, even if the clock was set back.
#[derive(Debug)]
pub struct Queue {
    dirs: RepoDirs,
    /// The last released place, by recipient.
    released: BTreeMap<String, i64>,
    /// The last place that the latest scan has assigned, by recipient.
    latest: BTreeMap<String, i64>,
    /// The last place of a message with a timestamp before a released one, by recipient.
    moved: BTreeMap<String, i64>,
    /// Why a file could not be taken in the latest scan.
    failure: Option<io::Error>,
}

impl Queue {
    /// Opens the queue of a repo, with the messages of an earlier process.
    ///
    /// # Errors
    /// The directories cannot be created or read.
    pub fn open(dirs: RepoDirs) -> io::Result<Self> {
        for dir in [dirs.out(), dirs.queue(), dirs.unsent()] {
            make_dir(&dir)?;
        }
        let mut latest = BTreeMap::new();
        for recipient in names(&dirs.queue())? {
            if let Some(last) = entries(&dirs, &recipient)?.last() {
                latest.insert(recipient, last.place);
            }
        }
        let (released, moved) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { dirs, released, latest, moved, failure: None })
    }

    /// Scans once; returns the number of messages that were taken. While it is not 0, scan
    /// again at once. A file that cannot be taken does not block others: see
    /// [`Queue::failure`].
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn scan(&mut self) -> io::Result<usize> {
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        let mut count = 0;
        self.failure = None;
        for recipient in names(&self.dirs.out())? {
            let mut taken = self.complete_files(&recipient);
            taken.sort();
            for (nanos, path) in taken {
                let place = self.place(&recipient, nanos, found.get(&recipient).copied());
                match self.take(&recipient, place, &path) {
                    Ok(()) => {
                        found.insert(recipient.clone(), place);
                        count += 1;
                    }
                    Err(error) => self.failure = Some(error),
                }
            }
        }
        for (recipient, place) in std::mem::replace(&mut self.latest, found) {
            let last = self.released.entry(recipient).or_default();
            *last = place.max(*last);
        }
        Ok(count)
    }

    /// Why a file could not be taken in the latest scan.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// The place of a message: its timestamp, or, if a later place was released, one after
    /// that; always after `last`, the one before it in this scan.
    fn place(&mut self, recipient: &str, nanos: i64, last: Option<i64>) -> i64 {
        let after = last.map_or(0, |last| last + 1);
        let free = self.released.get(recipient).map_or(0, |last| last + 1);
        if nanos >= free {
            return nanos.max(after);
        }
        let moved = self.moved.entry(recipient.to_owned()).or_default();
        *moved = free.max(after).max(*moved + 1);
        *moved
    }

    /// The places up to which messages may be sent, by recipient.
    pub fn released(&self) -> &BTreeMap<String, i64> {
        &self.released
    }

    /// The complete files for a recipient, with their timestamps.
    fn complete_files(&mut self, recipient: &str) -> Vec<(i64, PathBuf)> {
        let mut complete = Vec::new();
        let files = json_files(&self.dirs.out().join(recipient), DEPTH);
        let files = files.unwrap_or_else(|error| {
            self.failure = Some(error);
            Vec::new()
        });
        for path in files {
            let done = match LocalMessage::read(&path) {
                Ok(Some(message)) if message.from == DAEMON => remove(&path),
                Ok(Some(message)) => {
                    let nanos = message.nanos().filter(|nanos| *nanos > 0);
                    complete.push((nanos.unwrap_or_else(clock::wall_nanos), path));
                    Ok(())
                }
                Ok(None) if clock::age_of(&path).is_some_and(|age| age > HALF_WRITTEN) => {
                    self.set_aside(&path)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.failure = Some(error);
            }
        }
        complete
    }

    fn take(&self, recipient: &str, place: i64, path: &Path) -> io::Result<()> {
        let dir = self.dirs.queue().join(recipient);
        make_dir(&dir)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fs::rename(path, dir.join(format!("{place:0DIGITS$}-{name}")))
    }

    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let aside = self.dirs.unsent().join(name);
        make_dir(&self.dirs.unsent())?;
        warn!(file = %aside.display(), "a message file never became readable and was moved here");
        fs::rename(path, aside)
    }
}

/// The messages for a recipient, in the order of sending.
///
/// # Errors
/// The directory cannot be read.
pub fn entries(dirs: &RepoDirs, recipient: &str) -> io::Result<Vec<Entry>> {
    let dir = dirs.queue().join(recipient);
    let entry = |name: String| {
        let (place, file) = name.split_once('-')?;
        let id = file.strip_suffix(".json")?.to_owned();
        Some(Entry { place: place.parse().ok()?, id, path: dir.join(&name) })
    };
    Ok(names(&dir)?.into_iter().filter_map(entry).collect())
}

/// The recipients with a queue.
///
/// # Errors
/// The directory cannot be read.
pub fn recipients(dirs: &RepoDirs) -> io::Result<Vec<String>> {
    names(&dirs.queue())
}

/// Moves the message files of a directory that multiclaude wrote before it became a link.
/// Messages that were pasted or read already were for a local agent that has ended:
/// multiclaude would remove them, too.
pub(super) fn adopt_files(from: &Path, target: &Path) -> io::Result<()> {
    for path in json_files(from, DEPTH)? {
        let pending = match LocalMessage::read(&path)? {
            Some(message) => message.status == crate::multiclaude::Status::Pending,
            // It is still being written.
            None => true,
        };
        if !pending {
            info!(file = %path.display(), "removed: it was delivered already");
            remove(&path)?;
            continue;
        }
        let Some(name) = path.file_name() else {
            continue;
        };
        match fs::rename(&path, target.join(name)) {
            // It is copied as soon as it is complete.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                if let Some(message) = LocalMessage::read(&path)? {
                    message.write(target)?;
                    remove(&path)?;
                }
            }
            renamed => renamed?,
        }
    }
    Ok(())
}

/// The `.json` files in a directory and those below it. Links and pipes are left out,
/// because multiclaude writes none.
pub(super) fn json_files(dir: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in names(dir)? {
        let path = dir.join(&name);
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if found.is_dir() {
            if depth > 1 {
                files.extend(json_files(&path, depth - 1)?);
            }
        } else if found.is_file() && path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
