//! Messages of local agents on their way out: a directory per recipient, in
//! which a file's name is its place in the order.

use crate::clock;
use crate::dirs::{RepoDirs, make_dir, names, remove};
use crate::multiclaude::LocalMessage;
use crate::names::DAEMON;
use crate::spool::links;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{info, warn};

/// A file that is not whole after this time stays that way: its writer has died.
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
    /// Where it is.
    pub path: PathBuf,
}

/// Takes files out of the directories that the links lead to, into the order of
/// sending.
///
/// multiclaude's ids are random, so the order is that of the timestamps in the
/// files. One look at a directory may miss a file that is older than one it
/// sees, but the next look does not: so a message is released by the look after
/// the one that found it. A message that a later look finds comes after all that
/// are released, even if the clock was set back.
#[derive(Debug)]
pub struct Queue {
    dirs: RepoDirs,
    /// The last released place, by recipient.
    released: BTreeMap<String, i64>,
    /// The last place that the latest look has given, by recipient.
    latest: BTreeMap<String, i64>,
    /// The last place that was given to a message whose own time was over, by
    /// recipient.
    moved: BTreeMap<String, i64>,
    /// What could not be taken at the latest look.
    failure: Option<io::Error>,
}

impl Queue {
    /// The queue of a repo, with what an earlier process has left in it.
    ///
    /// # Errors
    /// The directories cannot be created or read.
    pub fn open(dirs: RepoDirs) -> io::Result<Self> {
        for dir in [dirs.out(), dirs.queue(), dirs.damaged()] {
            make_dir(&dir)?;
        }
        let mut latest = BTreeMap::new();
        for recipient in names(&dirs.queue())? {
            if let Some(last) = entries(&dirs, &recipient)?.last() {
                latest.insert(recipient, last.place);
            }
        }
        links::recover(&dirs)?;
        let (released, moved) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { dirs, released, latest, moved, failure: None })
    }

    /// Looks once; the number of messages that were taken. While it is not 0,
    /// look again at once. What cannot be taken holds up nothing else: see
    /// [`Queue::failure`].
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look(&mut self) -> io::Result<usize> {
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        let mut count = 0;
        self.failure = None;
        for recipient in names(&self.dirs.out())? {
            let mut taken = self.whole_files(&recipient);
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

    /// What could not be taken at the latest look.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// The place of a message: its time, unless that is over for its recipient;
    /// after `last`, the one before it in this look.
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

    /// Messages up to this place may be sent, by recipient.
    pub fn released(&self) -> &BTreeMap<String, i64> {
        &self.released
    }

    /// The files for a recipient that are whole, with their times.
    fn whole_files(&mut self, recipient: &str) -> Vec<(i64, PathBuf)> {
        let mut whole = Vec::new();
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
                    whole.push((nanos.unwrap_or_else(clock::wall_nanos), path));
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
        whole
    }

    fn take(&self, recipient: &str, place: i64, path: &Path) -> io::Result<()> {
        let dir = self.dirs.queue().join(recipient);
        make_dir(&dir)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fs::rename(path, dir.join(format!("{place:0DIGITS$}-{name}")))
    }

    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let aside = self.dirs.damaged().join(name);
        make_dir(&self.dirs.damaged())?;
        warn!(file = %aside.display(), "a message file never became readable and was set aside");
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

/// The recipients that something waits for.
///
/// # Errors
/// The directory cannot be read.
pub fn recipients(dirs: &RepoDirs) -> io::Result<Vec<String>> {
    names(&dirs.queue())
}

/// Moves the message files of a directory that multiclaude wrote, before there
/// was a link in its place, to where links lead. What was pasted or read already
/// was for a local agent that has gone: multiclaude would remove it, too.
pub(super) fn adopt_files(from: &Path, target: &Path) -> io::Result<()> {
    for path in json_files(from, DEPTH)? {
        let pending = match LocalMessage::read(&path)? {
            Some(message) => message.status == crate::multiclaude::Status::Pending,
            // Its writer is still at work on the open file.
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
            // It is copied as soon as it is whole.
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

/// The `.json` files in a directory and those below it. Links and pipes are left
/// out: only what multiclaude writes is read.
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
