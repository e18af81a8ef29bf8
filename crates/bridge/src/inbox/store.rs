//! The durable inbox of one repo. A message is written to disk here and reported to the
//! coordinator as delivered. It becomes one multiclaude file once it is accepted, can be
//! decrypted, and its agent is here.
//!
//! ```text
//! inbox/<local>/new/<id>.json ─▶ placed/ ─▶ taken/ ─▶ seen/ ─▶ done/
//!                                  └──────▶ handed/ ─────────────┘
//! ```
//!
//! Each stage is a directory, and a message is in one of them: see [`Stage`]. An
//! acknowledgement leads from each of the middle ones to `done`. Done messages are kept, so
//! that no second file is written if a coordinator that lost its last marks in a crash
//! offers them again.

use crate::clock;
use crate::dirs::{RepoDirs, make_dir, names, remove, sync_dir, write_durably};
use multiclaude_hybrid_client::protocol::AgentId;
use multiclaude_hybrid_client::protocol::message::Message;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Longer than any message waits at the coordinator (7 days).
const KEPT: Duration = Duration::from_hours(8 * 24);
/// The sender of notices.
pub const BRIDGE_NAME: &str = "multiclaude-hybrid";

/// An incoming message on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stored {
    /// A message of the coordinator.
    Message {
        /// The message, as the coordinator sent it.
        message: Box<Message>,
        /// The incarnation that it is for.
        agent: Option<AgentId>,
    },
    /// A notice of this bridge.
    Notice {
        /// The id, `note-…`.
        id: String,
        /// The text.
        body: String,
        /// When it was written, in milliseconds since the epoch.
        at_ms: i64,
    },
}

impl Stored {
    /// The id, which names its file.
    pub fn id(&self) -> String {
        match self {
            Self::Message { message, .. } => message.id.to_string(),
            Self::Notice { id, .. } => id.clone(),
        }
    }
}

/// How far a stored message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Stored only.
    New,
    /// multiclaude's file was written, and its agent has not read it.
    Placed,
    /// The agent has read the file, or the message was handed over without proof.
    Handed,
    /// The agent has taken it; that is not reported yet.
    Taken,
    /// The coordinator knows that the agent has taken it.
    Seen,
    /// Acknowledged.
    Done,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Placed, Self::Handed, Self::Taken, Self::Seen, Self::Done];
    /// The stages of messages that have a file and are not acknowledged.
    pub const OPEN: [Self; 4] = [Self::Placed, Self::Handed, Self::Taken, Self::Seen];

    fn dir(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Placed => "placed",
            Self::Handed => "handed",
            Self::Taken => "taken",
            Self::Seen => "seen",
            Self::Done => "done",
        }
    }
}

/// The messages of one repo on disk.
#[derive(Debug, Clone)]
pub struct Store {
    dirs: RepoDirs,
}

impl Store {
    /// The store in a repo's directory.
    pub fn new(dirs: RepoDirs) -> Self {
        Self { dirs }
    }

    /// The directory of a local agent.
    pub fn of(&self, local: &str) -> PathBuf {
        self.dirs.inbox().join(local)
    }

    fn dir(&self, local: &str, stage: Stage) -> PathBuf {
        self.of(local).join(stage.dir())
    }

    fn path(&self, local: &str, stage: Stage, id: &str) -> PathBuf {
        self.dir(local, stage).join(format!("{id}.json"))
    }

    /// Stores a message, unless it is stored already; returns whether it was new. After it
    /// returns, the message survives a power cut.
    ///
    /// # Errors
    /// The message cannot be written, and must not be confirmed.
    pub fn put(&self, local: &str, stored: &Stored) -> io::Result<bool> {
        let id = stored.id();
        for stage in Stage::ALL {
            if self.path(local, stage, &id).exists() {
                return Ok(false);
            }
        }
        let dir = self.dir(local, Stage::New);
        make_dir(&dir)?;
        write_durably(&self.path(local, Stage::New, &id), &serde_json::to_vec(stored)?, 0o600)?;
        Ok(true)
    }

    /// Is a message in this stage?
    pub fn has(&self, local: &str, stage: Stage, id: &str) -> bool {
        self.path(local, stage, id).exists()
    }

    /// The local agents that have an inbox.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn locals(&self) -> io::Result<Vec<String>> {
        names(&self.dirs.inbox())
    }

    /// The ids in a stage, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn ids(&self, local: &str, stage: Stage) -> io::Result<Vec<String>> {
        let names = names(&self.dir(local, stage))?;
        Ok(names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect())
    }

    /// The number of messages in a stage.
    pub fn count(&self, local: &str, stage: Stage) -> usize {
        fs::read_dir(self.dir(local, stage)).map_or(0, Iterator::count)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn get(&self, local: &str, stage: Stage, id: &str) -> io::Result<Stored> {
        Ok(serde_json::from_slice(&fs::read(self.path(local, stage, id))?)?)
    }

    /// Moves a message from one stage to another.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub fn advance(&self, local: &str, id: &str, from: Stage, to: Stage) -> io::Result<()> {
        let dir = self.dir(local, to);
        make_dir(&dir)?;
        fs::rename(self.path(local, from, id), self.path(local, to, id))?;
        sync_dir(&dir)
    }

    /// Moves the messages of `old` to `new`: the same agent under another local name.
    ///
    /// # Errors
    /// A file cannot be moved.
    pub fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        for stage in Stage::ALL {
            make_dir(&self.dir(new, stage))?;
            for id in self.ids(old, stage)? {
                fs::rename(self.path(old, stage, &id), self.path(new, stage, &id))?;
            }
        }
        Ok(())
    }

    /// Removes old messages that the coordinator cannot offer again.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn prune(&self) -> io::Result<()> {
        for local in self.locals()? {
            for stage in [Stage::Handed, Stage::Taken, Stage::Seen, Stage::Done] {
                for id in self.ids(&local, stage)? {
                    let path = self.path(&local, stage, &id);
                    if clock::age_of(&path).is_some_and(|age| age > KEPT) {
                        remove(&path)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A notice of the bridge for a local agent. `about` makes it unique, so that the same
/// notice is stored once.
pub fn notice(about: &str, body: &str) -> Stored {
    Stored::Notice { id: format!("note-{about}"), body: body.to_owned(), at_ms: clock::wall_ms() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_client::protocol::Repo;

    #[test]
    fn a_message_is_stored_once_however_far_it_has_come() {
        let home = tempfile::tempdir().unwrap();
        let repo = Repo::parse("acme/app").unwrap();
        let store = Store::new(crate::dirs::Dirs::of_home(home.path()).repo(&repo));
        let stored = notice("msg-1", "not sent");
        assert!(store.put("fox", &stored).unwrap());
        for (from, to) in [(Stage::New, Stage::Placed), (Stage::Placed, Stage::Done)] {
            assert!(!store.put("fox", &stored).unwrap());
            assert_eq!(store.get("fox", from, "note-msg-1").unwrap(), stored);
            store.advance("fox", "note-msg-1", from, to).unwrap();
        }
        assert!(!store.put("fox", &stored).unwrap());
        store.prune().unwrap();
        assert_eq!(store.ids("fox", Stage::Done).unwrap(), ["note-msg-1"]);
        assert!(store.ids("fox", Stage::New).unwrap().is_empty());
    }
}
