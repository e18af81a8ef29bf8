//! Finds the messages that agents have read, taken and acknowledged, for reports to the
//! coordinator.

use super::{Inbox, Stage, Stored};
use crate::lock::locked;
use crate::multiclaude::{LocalMessage, Status};
use multiclaude_hybrid_client::protocol::AgentId;
use multiclaude_hybrid_client::protocol::message::Message;
use std::fs;
use std::io;

/// A message that its agent has taken or acknowledged.
#[derive(Debug, Clone)]
pub struct Reportable {
    /// The agent's local name.
    pub local: String,
    /// The message, as the coordinator sent it.
    pub message: Box<Message>,
    /// The incarnation that it was for.
    pub agent: Option<AgentId>,
    /// Its stage in the store.
    pub stage: Stage,
}

impl Inbox {
    /// The messages of a local agent that were acknowledged since the last call. Notices
    /// that were read are marked as done.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn acked(&self, local: &str) -> io::Result<Vec<Reportable>> {
        let mut acked = Vec::new();
        for stage in Stage::OPEN {
            for id in self.store.ids(local, stage)? {
                match self.check_file(local, &id, stage) {
                    Ok(found) => acked.extend(found),
                    // It has just moved to another stage.
                    Err(_) if !self.store.has(local, stage, &id) => {}
                    Err(error) => self.unreadable.begin(&id, error),
                }
            }
        }
        Ok(acked)
    }

    /// Reads the file of an open message, if it has changed.
    fn check_file(&self, local: &str, id: &str, stage: Stage) -> io::Result<Option<Reportable>> {
        let path = self.spool.messages.join(local).join(format!("{id}.json"));
        let Ok(modified) = fs::metadata(&path).and_then(|found| found.modified()) else {
            return Ok(None);
        };
        if locked(&self.looked_at).get(id) == Some(&modified) {
            return Ok(None);
        }
        // A half written file is readable later.
        let Some(file) = LocalMessage::read(&path)? else {
            return Ok(None);
        };
        // An acknowledged file is read again until the coordinator knows of it.
        if file.acked_at.is_none() {
            locked(&self.looked_at).insert(id.to_owned(), modified);
        }
        let was_read =
            file.acked_at.is_some() || matches!(file.status, Status::Read | Status::Acked);
        let stored = self.store.get(local, stage, id)?;
        let mut stage = stage;
        if was_read {
            self.hop.withdraw(local, id);
            if stage == Stage::Placed {
                // The stage `placed` is for unread messages.
                self.store.advance(local, id, stage, Stage::Handed)?;
                stage = Stage::Handed;
            }
        } else if stage == Stage::Placed {
            // An earlier process may have placed it.
            self.hop.offer(local, id);
        }
        match stored {
            Stored::Message { message, agent } if file.acked_at.is_some() => {
                return Ok(Some(Reportable { local: local.to_owned(), message, agent, stage }));
            }
            Stored::Notice { .. } if was_read => {
                self.store.advance(local, id, stage, Stage::Done)?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// The messages that a local agent has taken and that were not reported yet.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn taken(&self, local: &str) -> io::Result<Vec<Reportable>> {
        let mut taken = Vec::new();
        for id in self.store.ids(local, Stage::Taken)? {
            let stored = match self.store.get(local, Stage::Taken, &id) {
                Ok(stored) => stored,
                Err(error) => {
                    if self.store.has(local, Stage::Taken, &id) {
                        self.unreadable.begin(&id, error);
                    }
                    continue;
                }
            };
            match stored {
                Stored::Message { message, agent } => {
                    let (local, stage) = (local.to_owned(), Stage::Taken);
                    taken.push(Reportable { local, message, agent, stage });
                }
                // A notice of the bridge itself needs no report.
                Stored::Notice { .. } => {
                    self.store.advance(local, &id, Stage::Taken, Stage::Seen)?;
                }
            }
        }
        Ok(taken)
    }

    /// Moves a message to this stage after the coordinator knows of it.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub fn reported(&self, acked: &Reportable, to: Stage) -> io::Result<()> {
        let id = acked.message.id.to_string();
        if to == Stage::Done {
            locked(&self.looked_at).remove(&id);
        }
        self.store.advance(&acked.local, &id, acked.stage, to)
    }
}
