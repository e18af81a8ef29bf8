//! Outgoing: from multiclaude's message files into a queue that `outbox` sends.
//!
//! ```text
//! messages/<repo>/<name> ──link──▶ out/<name>/ ──rename──▶ queue/<name>/ ──POST──▶ API
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | this one | [`Spool`], which combines the parts |
//! | `links` | the links, and directories of unknown names |
//! | `queue` | the order of sending |
//! | `capture` | the thread that takes files as they are written |

mod capture;
mod links;
mod queue;

pub use capture::Capture;
pub use links::{Links, Wanted};
pub use queue::{Entry, Queue, entries, recipients};

use crate::dirs::{RepoDirs, make_dir, remove};
use crate::lock::locked;
use crate::multiclaude::{LocalMessage, State};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::sync::watch;

/// The outgoing messages of one repo, shared by the thread that takes files and the tasks
/// that send them.
#[derive(Debug)]
pub struct Spool {
    /// multiclaude's name for the repo.
    pub nickname: String,
    /// The bridge's directory of the repo.
    pub dirs: RepoDirs,
    /// `messages/<repo>`.
    pub messages: PathBuf,
    /// The links in `messages`.
    pub links: Links,
    queue: Mutex<Queue>,
    released: Mutex<BTreeMap<String, i64>>,
    /// Names of other machines, and of roles that stand down here.
    remote: Mutex<BTreeSet<String>>,
    /// Roles that stand down here, even if the state has them.
    stood_down: Mutex<BTreeSet<String>>,
    /// Local names that are registered from here.
    registered: Mutex<BTreeSet<String>>,
    /// Names that could not be linked, and why.
    unlinked: Mutex<BTreeMap<String, String>>,
    /// Counts up when a message may be sent.
    pub ready: watch::Sender<u64>,
}

impl Spool {
    /// Opens the spool of a repo.
    ///
    /// # Errors
    /// Its directories cannot be created or read.
    pub fn open(nickname: &str, messages: PathBuf, dirs: RepoDirs) -> io::Result<Self> {
        let queue = Queue::open(dirs.clone())?;
        links::recover(&dirs)?;
        Ok(Self {
            nickname: nickname.to_owned(),
            links: Links::new(messages.clone(), dirs.clone()),
            queue: Mutex::new(queue),
            messages,
            dirs,
            released: Mutex::default(),
            remote: Mutex::default(),
            stood_down: Mutex::default(),
            registered: Mutex::default(),
            unlinked: Mutex::default(),
            ready: watch::Sender::new(0),
        })
    }

    /// The stored names of other machines, and when each was last registered, in
    /// milliseconds since the epoch.
    pub fn known_names(&self) -> BTreeMap<String, i64> {
        let text = fs::read(self.dirs.links()).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Sets the names of other machines, the roles that stand down here, and the local
    /// names that are registered from here.
    pub fn set_names(
        &self,
        remote: BTreeSet<String>,
        stood_down: BTreeSet<String>,
        registered: BTreeSet<String>,
    ) {
        *locked(&self.remote) = remote;
        *locked(&self.stood_down) = stood_down;
        *locked(&self.registered) = registered;
    }

    /// Names that could not be linked, and why.
    pub fn unlinked(&self) -> BTreeMap<String, String> {
        locked(&self.unlinked).clone()
    }

    /// The roles that stand down here.
    pub fn stood_down(&self) -> BTreeSet<String> {
        locked(&self.stood_down).clone()
    }

    /// Is this an agent of multiclaude's on this machine that does not stand down?
    pub fn is_local(&self, name: &str, state: Option<&State>) -> bool {
        let repo = state.and_then(|state| state.repos.get(&self.nickname));
        repo.is_some_and(|repo| repo.agents.contains_key(name))
            && !locked(&self.stood_down).contains(name)
    }

    /// The wanted state of the directories, when these agents are in multiclaude's state.
    fn wanted(&self, agents: impl Iterator<Item = String>) -> Wanted {
        let stood_down = locked(&self.stood_down).clone();
        let local: BTreeSet<String> = agents.filter(|name| !stood_down.contains(name)).collect();
        let mut remote: BTreeSet<String> =
            locked(&self.remote).difference(&local).cloned().collect();
        remote.extend(stood_down);
        let registered = locked(&self.registered).difference(&remote).cloned().collect();
        Wanted { remote, local, registered }
    }

    /// Makes the links, when these agents are in multiclaude's state.
    fn make_links(&self, agents: impl Iterator<Item = String>) -> io::Result<()> {
        let failed = self.links.make(&self.wanted(agents))?;
        *locked(&self.unlinked) = failed;
        Ok(())
    }

    /// Takes all complete files and releases them.
    ///
    /// # Errors
    /// A directory cannot be read, or the disk is full.
    pub fn take(&self) -> io::Result<()> {
        let mut queue = locked(&self.queue);
        let mut any = false;
        // The scan after the last find releases it.
        while queue.scan()? > 0 {
            any = true;
        }
        let released = queue.released().clone();
        if any || released != *locked(&self.released) {
            *locked(&self.released) = released;
            self.ready.send_modify(|count| *count += 1);
        }
        queue.failure().map_or(Ok(()), Err)
    }

    /// Gives a message back to multiclaude, whose recipient is a local agent now.
    ///
    /// # Errors
    /// The directory cannot be created, or the disk is full.
    pub fn give_back(&self, recipient: &str, entry: &Entry) -> io::Result<()> {
        let dir = self.messages.join(recipient);
        self.links.unlink(recipient)?;
        fs::create_dir_all(&dir)?;
        let renamed = fs::rename(&entry.path, dir.join(format!("{}.json", entry.id)));
        match renamed {
            // The two homes are on different file systems.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let Some(message) = LocalMessage::read(&entry.path)? else {
                    return self.set_aside(entry);
                };
                message.write(&dir)?;
                remove(&entry.path)
            }
            renamed => renamed,
        }
    }

    /// Is there an unsent message that this local agent wrote before `before_nanos`?
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn has_from(&self, local: &str, before_nanos: i64) -> io::Result<bool> {
        for root in [self.dirs.queue(), self.dirs.out()] {
            for path in queue::json_files(&root, 5)? {
                let wrote = LocalMessage::read(&path)?.is_some_and(|message| {
                    let first = message.from.split('/').next() == Some(local);
                    first && message.nanos().is_none_or(|nanos| nanos < before_nanos)
                });
                if wrote {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Sets a message aside that can neither be sent nor returned.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub fn set_aside(&self, entry: &Entry) -> io::Result<()> {
        make_dir(&self.dirs.unsent())?;
        fs::rename(&entry.path, self.dirs.unsent().join(format!("{}.json", entry.id)))
    }

    /// The messages for a recipient that may be sent, in order. Messages that are taken
    /// later come after all of them.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn sendable(&self, recipient: &str) -> io::Result<Vec<Entry>> {
        let released = locked(&self.released).get(recipient).copied().unwrap_or_default();
        let mut entries = entries(&self.dirs, recipient)?;
        entries.retain(|entry| entry.place <= released);
        Ok(entries)
    }
}
