//! The agents that are registered from here, in memory and on disk.

use crate::dirs::{make_dir, write_durably};
use crate::lock::locked;
use multiclaude_hybrid_client::protocol::{AgentId, AgentName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Mutex;

/// A local agent that is registered, or is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name it is registered under.
    pub name: AgentName,
    /// The incarnation, once the coordinator has answered.
    #[serde(default)]
    pub id: Option<AgentId>,
    /// Its type.
    pub kind: String,
    /// When multiclaude created it; empty if that is not known.
    #[serde(default)]
    pub created_at: String,
    /// When its tmux session was created, in seconds since the epoch.
    #[serde(default)]
    pub session_secs: i64,
}

/// The records, by local name. A change is on disk before it is in force.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    by_local: Mutex<BTreeMap<String, Record>>,
}

impl Records {
    /// Those that an earlier process has left.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let records = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, by_local: Mutex::new(records) })
    }

    /// All of them.
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
    /// It cannot be written.
    pub(super) fn put(&self, local: &str, record: Record) -> io::Result<()> {
        self.change(|records| {
            records.insert(local.to_owned(), record);
        })
    }

    /// Removes a record.
    ///
    /// # Errors
    /// That cannot be written.
    pub(super) fn remove(&self, local: &str) -> io::Result<()> {
        self.change(|records| {
            records.remove(local);
        })
    }

    /// Gives the record of `old` to `new`: the same agent under another local name.
    ///
    /// # Errors
    /// That cannot be written.
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
    /// That cannot be written.
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
