//! Messages of local agents on their way out: a directory per recipient, in
//! which a file's name is its place in the order.

use crate::clock;
use crate::dirs::{RepoDirs, make_dir, names, remove};
use crate::multiclaude::LocalMessage;
use crate::names::DAEMON;
use crate::spool::links;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{info, warn};

/// A file that is not whole after this time never will be: its writer has died.
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
        if let Some(name) = path.file_name() {
            fs::rename(&path, target.join(name))?;
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
mod tests {
    use super::*;
    use multiclaude_hybrid_client::protocol::Repo;

    struct Bench {
        _home: tempfile::TempDir,
        dirs: RepoDirs,
    }

    impl Bench {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let repo = Repo::parse("acme/app").unwrap();
            let dirs = crate::dirs::Dirs::of_home(home.path()).repo(&repo);
            make_dir(&dirs.out().join("ann")).unwrap();
            Self { _home: home, dirs }
        }

        /// multiclaude writes a message at this second.
        fn write(&self, id: &str, from: &str, at_ms: i64) {
            let mut message = LocalMessage::delivered(id, from, "ann", id, at_ms);
            message.status = crate::multiclaude::Status::Pending;
            message.write(&self.dirs.out().join("ann")).unwrap();
        }

        fn ids(&self) -> Vec<String> {
            entries(&self.dirs, "ann").unwrap().into_iter().map(|entry| entry.id).collect()
        }
    }

    #[test]
    fn the_order_is_that_of_the_timestamps_and_a_message_waits_for_a_second_look() {
        let bench = Bench::new();
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        bench.write("msg-b", "fox", 2000);
        assert_eq!(queue.look().unwrap(), 1);
        assert_eq!(queue.released().get("ann"), None);
        // The first look missed it.
        bench.write("msg-a", "fox", 1000);
        assert_eq!(queue.look().unwrap(), 1);
        assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
        assert_eq!(queue.released()["ann"], 2_000_000_000);
        assert_eq!(queue.look().unwrap(), 0);
    }

    #[test]
    fn what_is_found_after_a_message_was_released_comes_after_it_even_if_the_clock_went_back() {
        let bench = Bench::new();
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        bench.write("msg-a", "fox", 9000);
        queue.look().unwrap();
        queue.look().unwrap();
        bench.write("msg-b", "fox", 1000);
        queue.look().unwrap();
        assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
    }

    #[test]
    fn several_messages_of_a_clock_that_went_back_keep_their_order() {
        let bench = Bench::new();
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        bench.write("msg-5", "fox", 9_000_000);
        queue.look().unwrap();
        queue.look().unwrap();
        // Random ids, in one look and in the next one.
        bench.write("msg-9", "fox", 1000);
        bench.write("msg-1", "fox", 1001);
        queue.look().unwrap();
        bench.write("msg-0", "fox", 1002);
        queue.look().unwrap();
        assert_eq!(bench.ids(), ["msg-5", "msg-9", "msg-1", "msg-0"]);
    }

    #[test]
    fn one_file_that_cannot_be_taken_holds_up_no_other() {
        let bench = Bench::new();
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        bench.write("msg-1", "fox", 1000);
        // In the place of its queue is a file.
        make_dir(&bench.dirs.out().join("bob")).unwrap();
        fs::write(bench.dirs.queue().join("bob"), "").unwrap();
        fs::copy(bench.dirs.out().join("ann/msg-1.json"), bench.dirs.out().join("bob/msg-1.json"))
            .unwrap();
        assert_eq!(queue.look().unwrap(), 1);
        assert!(queue.failure().is_some());
        queue.look().unwrap();
        assert_eq!(queue.released()["ann"], 1_000_000_000);
    }

    #[test]
    fn a_restart_between_two_looks_does_not_change_the_order() {
        let bench = Bench::new();
        bench.write("msg-b", "fox", 2000);
        Queue::open(bench.dirs.clone()).unwrap().look().unwrap();
        bench.write("msg-a", "fox", 1000);
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        queue.look().unwrap();
        assert_eq!(bench.ids(), ["msg-a", "msg-b"]);
        assert_eq!(queue.released()["ann"], 2_000_000_000);
    }

    #[test]
    fn messages_of_the_daemon_stay_here_and_half_written_ones_wait() {
        let bench = Bench::new();
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        bench.write("msg-d", "daemon", 1000);
        let half = bench.dirs.out().join("ann/msg-h.json");
        fs::write(&half, "{\"id\": \"msg-h\", ").unwrap();
        assert_eq!(queue.look().unwrap(), 0);
        assert_eq!(names(&bench.dirs.out().join("ann")).unwrap(), ["msg-h.json"]);
        let long_ago = std::time::UNIX_EPOCH;
        fs::File::options().write(true).open(&half).unwrap().set_modified(long_ago).unwrap();
        queue.look().unwrap();
        assert_eq!(names(&bench.dirs.damaged()).unwrap(), ["msg-h.json"]);
    }

    #[test]
    fn a_recipient_with_a_slash_is_found_in_its_directories() {
        let bench = Bench::new();
        let deep = bench.dirs.out().join("ann/b");
        fs::create_dir(&deep).unwrap();
        let mut message = LocalMessage::delivered("msg-x", "fox", "ann/b", "x", 1000);
        message.status = crate::multiclaude::Status::Pending;
        message.write(&deep).unwrap();
        let mut queue = Queue::open(bench.dirs.clone()).unwrap();
        assert_eq!(queue.look().unwrap(), 1);
        assert_eq!(bench.ids(), ["msg-x"]);
    }
}
