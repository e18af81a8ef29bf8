//! Incoming: from the coordinator to one file of multiclaude's per message.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | what the parts share: [`Inbox`] |
//! | `store` | messages on disk, once |
//! | `receive` | a stream or long polls, per agent |
//! | `listener` | webhooks |
//! | `hop` | the last hop, into the running agent |

mod hop;
mod listener;
mod receive;
mod store;

pub use hop::{Handed, Hold, LastHop};
pub use listener::{Listener, Route, Routes};
pub use receive::{Receiver, Receiving};
pub use store::{BRIDGE_NAME, Stage, Store, Stored, notice};

use crate::dirs::make_dir;
use crate::lock::locked;
use crate::multiclaude::{LocalMessage, StateFile, Status};
use crate::presence::is_successor;
use crate::registry::Registry;
use crate::seal::Seal;
use crate::spool::Spool;
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::AgentId;
use multiclaude_hybrid_client::protocol::message::{Message, Sender};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tracing::info;

/// The incoming side of one repo.
#[derive(Debug)]
pub struct Inbox {
    store: Store,
    spool: Arc<Spool>,
    state: Arc<StateFile>,
    seal: Arc<Seal>,
    hop: Arc<dyn LastHop>,
    /// One placing at a time keeps the order.
    placing: Mutex<()>,
    /// Why messages wait, by local agent and id.
    held: Mutex<BTreeMap<(String, String), String>>,
    /// Why the last hop holds messages, by local agent and id.
    hop_held: Mutex<BTreeMap<(String, String), String>>,
    /// When a placed file was last looked at.
    looked_at: Mutex<BTreeMap<String, SystemTime>>,
    registry: Arc<Registry>,
    trouble: Trouble,
    unlinked: Trouble,
}

/// A message that its agent has acknowledged.
#[derive(Debug, Clone)]
pub struct Acked {
    /// The agent's local name.
    pub local: String,
    /// The message, as it came.
    pub message: Box<Message>,
    /// The incarnation that it was for.
    pub agent: Option<AgentId>,
}

impl Inbox {
    /// The inbox of a repo.
    pub fn new(
        spool: Arc<Spool>,
        state: Arc<StateFile>,
        seal: Arc<Seal>,
        (registry, hop): (Arc<Registry>, Arc<dyn LastHop>),
    ) -> Self {
        Self {
            store: Store::new(spool.dirs.clone()),
            spool,
            state,
            seal,
            hop,
            placing: Mutex::default(),
            held: Mutex::default(),
            hop_held: Mutex::default(),
            looked_at: Mutex::default(),
            registry,
            trouble: Trouble::new(
                "messages cannot be stored; they wait at the coordinator",
                "messages can be stored again",
            ),
            unlinked: Trouble::new(
                "the sender of a message cannot be answered with multiclaude message send",
                "the sender can be answered",
            ),
        }
    }

    /// Stores what has come for a local agent and places it if that is possible
    /// now. When this returns, the message may be confirmed.
    ///
    /// # Errors
    /// It could not be stored: do not confirm it.
    pub fn accept(&self, local: &str, stored: &Stored) -> io::Result<()> {
        let stored = self.store.put(local, stored);
        match &stored {
            Ok(_) => self.trouble.end("inbox"),
            Err(error) => self.trouble.begin("inbox", error),
        }
        stored?;
        self.place(local);
        Ok(())
    }

    /// Makes multiclaude's files of all stored messages of a local agent, in
    /// order, as far as that is possible now. What waits has a reason in
    /// [`Inbox::held`].
    pub fn place(&self, local: &str) {
        let _one = locked(&self.placing);
        locked(&self.held).retain(|(of, _), _| of != local);
        let ids = match self.store.ids(local, Stage::New) {
            Ok(ids) => ids,
            Err(error) => return self.trouble.begin("inbox", error),
        };
        for (at, id) in ids.iter().enumerate() {
            let reason = match self.place_one(local, id) {
                Ok(None) => continue,
                Ok(Some(reason)) => reason,
                Err(error) => format!("its file cannot be written: {error}"),
            };
            // Those behind it wait for it.
            let mut held = locked(&self.held);
            for id in ids.iter().skip(at) {
                held.insert((local.to_owned(), id.clone()), reason.clone());
            }
            return;
        }
    }

    /// Places one message; the reason if it has to wait.
    fn place_one(&self, local: &str, id: &str) -> io::Result<Option<String>> {
        let Some(state) = self.state.read() else {
            return Ok(Some("multiclaude has no state".to_owned()));
        };
        let Some(repo) = state.repos.get(&self.spool.nickname) else {
            return Ok(Some(format!("multiclaude has no repo {}", self.spool.nickname)));
        };
        let Some(agent) = repo.agents.get(local) else {
            return Ok(Some(format!("{local} is not running here")));
        };
        let record = self.registry.records.get(local);
        if record.is_some_and(|record| is_successor(agent, &record.created_at)) {
            return Ok(Some(format!("it is for an earlier {local}, which has ended")));
        }
        let stored = self.store.get(local, Stage::New, id)?;
        let message = match &stored {
            Stored::Message { message, .. } => {
                if let Sender::Agent(from) = &message.from
                    && !repo.agents.contains_key(from.as_str())
                {
                    // An answer finds its way as soon as the message can be read.
                    // Without a link the message can be read all the same.
                    let linked = self.spool.links.link(from.as_str());
                    self.unlinked.note(from.as_str(), linked);
                }
                let text = match self.seal.open(message) {
                    Ok(text) => text,
                    Err(reason) => {
                        return Ok(Some(format!("it cannot be decrypted now: {reason}")));
                    }
                };
                LocalMessage::delivered(
                    id,
                    &message.from.to_string(),
                    local,
                    &text,
                    message.created_at.0,
                )
            }
            Stored::Notice { id, body, at_ms } => {
                LocalMessage::delivered(id, BRIDGE_NAME, local, body, *at_ms)
            }
        };
        let dir = self.spool.messages.join(local);
        // A crash may have come between the writing and the marking.
        if !dir.join(format!("{id}.json")).exists() {
            make_dir(&dir)?;
            message.write(&dir)?;
        }
        self.store.advance(local, id, Stage::New, Stage::Placed)?;
        info!(local, id, from = message.from, "message placed");
        self.offer(local, &message);
        Ok(None)
    }

    fn offer(&self, local: &str, message: &LocalMessage) {
        let Handed::Held(reason) = self.hop.offer(local, message);
        locked(&self.hop_held).insert((local.to_owned(), message.id.clone()), reason);
    }

    /// Why stored messages wait, by local agent and id.
    pub fn held(&self) -> BTreeMap<(String, String), String> {
        locked(&self.held).clone()
    }

    /// Why the last hop holds a message whose file exists and was not read yet.
    pub fn hop_reason(&self, local: &str, id: &str) -> Option<String> {
        locked(&self.hop_held).get(&(local.to_owned(), id.to_owned())).cloned()
    }

    /// How many messages have a file and are not acknowledged.
    pub fn unacknowledged(&self, local: &str) -> usize {
        self.store.ids(local, Stage::Placed).map_or(0, |ids| ids.len())
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The messages of a local agent that were acknowledged since they were last
    /// looked at. Notices that were read are done here.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn acked(&self, local: &str) -> io::Result<Vec<Acked>> {
        let mut acked = Vec::new();
        for id in self.store.ids(local, Stage::Placed)? {
            let path = self.spool.messages.join(local).join(format!("{id}.json"));
            let Ok(modified) = fs::metadata(&path).and_then(|found| found.modified()) else {
                continue;
            };
            if locked(&self.looked_at).get(&id) == Some(&modified) {
                continue;
            }
            // Half written: look again.
            let Some(file) = LocalMessage::read(&path)? else {
                continue;
            };
            // An acknowledgement is looked at until the coordinator knows of it.
            if file.acked_at.is_none() {
                locked(&self.looked_at).insert(id.clone(), modified);
            }
            let key = (local.to_owned(), id.clone());
            if file.acked_at.is_some() || matches!(file.status, Status::Read | Status::Acked) {
                locked(&self.hop_held).remove(&key);
            } else if !locked(&self.hop_held).contains_key(&key) {
                // An earlier process has placed it.
                self.offer(local, &file);
            }
            match self.store.get(local, Stage::Placed, &id)? {
                Stored::Message { message, agent } if file.acked_at.is_some() => {
                    acked.push(Acked { local: local.to_owned(), message, agent });
                }
                Stored::Notice { .. } if matches!(file.status, Status::Read | Status::Acked) => {
                    self.store.advance(local, &id, Stage::Placed, Stage::Done)?;
                }
                _ => {}
            }
        }
        Ok(acked)
    }

    /// The coordinator knows of an acknowledgement.
    ///
    /// # Errors
    /// The disk is full, …
    pub fn done(&self, local: &str, id: &str) -> io::Result<()> {
        locked(&self.looked_at).remove(id);
        self.store.advance(local, id, Stage::Placed, Stage::Done)
    }
}
