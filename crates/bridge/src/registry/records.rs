//! The registrations of this home, in memory and on disk.

use crate::dirs::{make_dir, write_durably};
use crate::lock::locked;
use multiclaude_hybrid_client::protocol::{AgentId, AgentName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Mutex;

/// A local agent that is registered, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The registered name.
    pub name: AgentName,
    /// The incarnation, once the coordinator has answered.
    #[serde(default)]
    pub id: Option<AgentId>,
    /// The agent's type, such as `worker`.
    pub kind: String,
    /// When multiclaude created it; empty if that is not known.
    #[serde(default)]
    pub created_at: String,
    /// When its tmux session was created, in seconds since the epoch.
    #[serde(default)]
    pub session_secs: i64,
}

/// The records, by local name. A change is written to disk before it takes effect.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    by_local: Mutex<BTreeMap<String, Record>>,
}

impl Records {
    /// Reads the records of an earlier process.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let records = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, by_local: Mutex::new(records) })
    }

    /// A copy of all records.
    pub fn all(&self) -> BTreeMap<String, Record> {
        locked(&self.by_local).clone()
    }

    /// The record of one agent.
    pub fn get(&self, local: &str) -> Option<Record> {
        locked(&self.by_local).get(local).cloned()
    }

    /// Adds or replaces a record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn put(&self, local: &str, record: Record) -> io::Result<()> {
        self.change(|records| {
            records.insert(local.to_owned(), record);
        })
    }

    /// Removes a record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn remove(&self, local: &str) -> io::Result<()> {
        self.change(|records| {
            records.remove(local);
        })
    }

    /// Renames the record of `old` to `new`: the same agent under another local name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        self.change(|records| {
            if let Some(record) = records.remove(old) {
                records.insert(new.to_owned(), record);
            }
        })
    }

    /// Notes when the tmux session of these agents was created.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_session<'a>(
        &self,
        locals: impl Iterator<Item = &'a String>,
        secs: i64,
    ) -> io::Result<()> {
        self.change(|records| {
            for local in locals {
                if let Some(record) = records.get_mut(local) {
                    record.session_secs = secs;
                }
            }
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Record>)) -> io::Result<()> {
        let mut records = locked(&self.by_local);
        let mut changed = records.clone();
        change(&mut changed);
        if changed != *records {
            if let Some(dir) = self.path.parent() {
                make_dir(dir)?;
            }
            write_durably(&self.path, &serde_json::to_vec_pretty(&changed)?, 0o600)?;
            *records = changed;
        }
        Ok(())
    }
}
