//! Incoming: from the coordinator to one multiclaude file per message.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | [`Inbox`], which places messages |
//! | `reports` | how far messages have come, for the coordinator |
//! | `store` | messages on disk, once |
//! | `reason` | why a stored message waits |
//! | `acceptance` | whose messages reach agents of this machine |
//! | `receive` | a stream or long polls, per agent |
//! | `listener` | webhooks |
//! | `hop` | the interface to the last hop: see [`crate::hop`] |

mod acceptance;
mod hop;
mod listener;
mod reason;
mod receive;
mod reports;
mod store;

pub use acceptance::{Accept, Decisions, Verdict, judge};
pub use hop::LastHop;
pub use listener::{Route, Routes};
pub use reason::Reason;
pub use receive::{Receiver, Receiving};
pub use reports::Reportable;
pub use store::{BRIDGE_NAME, Stage, Store, Stored, notice};

use crate::clock;
use crate::dirs::make_dir;
use crate::lock::locked;
use crate::multiclaude::{LocalMessage, LocalRepo, StateFile, Status};
use crate::presence::is_successor;
use crate::registry::Registry;
use crate::seal::Seal;
use crate::spool::Spool;
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::message::Sender;
use std::collections::BTreeMap;
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
    accept: Accept,
    /// Held while messages are placed, which keeps the order.
    placing: Mutex<()>,
    /// Why messages wait, by local agent and id.
    held: Mutex<BTreeMap<(String, String), Reason>>,
    /// The modification time of each placed file when it was last read.
    looked_at: Mutex<BTreeMap<String, SystemTime>>,
    registry: Arc<Registry>,
    trouble: Trouble,
    unlisted: Trouble,
    unlinked: Trouble,
    unreadable: Trouble,
}

impl Inbox {
    /// The inbox of one repo.
    pub fn new(
        spool: Arc<Spool>,
        state: Arc<StateFile>,
        seal: Arc<Seal>,
        (registry, hop, accept): (Arc<Registry>, Arc<dyn LastHop>, Accept),
    ) -> Self {
        Self {
            store: Store::new(spool.dirs.clone()),
            spool,
            state,
            seal,
            hop,
            accept,
            placing: Mutex::default(),
            held: Mutex::default(),
            looked_at: Mutex::default(),
            registry,
            trouble: Trouble::new(
                "messages cannot be stored; they wait at the coordinator",
                "messages can be stored again",
            ),
            unlisted: Trouble::new(
                "stored messages cannot be listed",
                "stored messages can be listed again",
            ),
            unlinked: Trouble::new(
                "the sender of a message cannot be answered with multiclaude message send",
                "the sender can be answered",
            ),
            unreadable: Trouble::new(
                "a stored message cannot be read",
                "stored messages can be read again",
            ),
        }
    }

    /// Stores a message for a local agent, and places it if that is possible now. After it
    /// returns, the message may be confirmed.
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

    /// Writes multiclaude's files of all stored messages, in order, as far as possible now.
    pub fn place_all(&self) {
        let locals = self.unlisted.note("inbox", self.store.locals());
        locals.iter().flatten().for_each(|local| self.place(local));
    }

    /// Places the stored messages of one local agent, and replaces its reasons in
    /// [`Inbox::held`].
    fn place(&self, local: &str) {
        let _one = locked(&self.placing);
        let Some(waiting) = self.unlisted.note(local, self.place_stored(local)) else { return };
        let mut held = locked(&self.held);
        held.retain(|(of, _), _| of != local);
        held.extend(waiting.into_iter().map(|(id, reason)| ((local.to_owned(), id), reason)));
    }

    /// Places the stored messages of one local agent, in order. Returns those that have to
    /// wait, and why. The caller holds `placing`.
    fn place_stored(&self, local: &str) -> io::Result<Vec<(String, Reason)>> {
        let mut waiting = Vec::new();
        let ids = self.store.ids(local, Stage::New)?;
        if ids.is_empty() {
            return Ok(waiting);
        }
        let decisions = Decisions::load(&self.spool.dirs);
        let mut ids = ids.into_iter();
        while let Some(id) = ids.next() {
            let judged = match &decisions {
                Ok(decisions) => self.judge(local, &id, decisions),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            let placed = match judged {
                Ok(Verdict::Accepted) => self.place_one(local, &id),
                Ok(Verdict::Refused(reason)) => self.refuse(local, &id, &reason).map(|()| None),
                // It waits for the human, and does not block other messages.
                Ok(Verdict::Asked { owner }) => {
                    waiting.push((id, Reason::NotAccepted { owner }));
                    continue;
                }
                Err(error) => Err(error),
            };
            let reason = match placed {
                Ok(None) => continue,
                Ok(Some(reason)) => reason,
                Err(error) => format!("its file cannot be written: {error}"),
            };
            // The later messages wait, too.
            let reason = Reason::CannotBePlaced(reason);
            waiting.push((id, reason.clone()));
            waiting.extend(ids.map(|id| (id, reason.clone())));
            break;
        }
        Ok(waiting)
    }

    fn judge(&self, local: &str, id: &str, decisions: &Decisions) -> io::Result<Verdict> {
        Ok(match self.store.get(local, Stage::New, id)? {
            Stored::Message { message, .. } => {
                let owner = self.registry.home().owner.as_str();
                judge(&self.accept, decisions, Some(owner), &message)
            }
            Stored::Notice { .. } => Verdict::Accepted,
        })
    }

    /// Reports to the sender of a message why it was refused.
    fn refuse(&self, local: &str, id: &str, reason: &str) -> io::Result<()> {
        if let Stored::Message { message, .. } = self.store.get(local, Stage::New, id)?
            && let Sender::Agent(from) = &message.from
        {
            let to = from.as_str();
            let body = format!(
                "Your message {id} was refused by the user of the machine of {}, and {} has not seen it: {reason}",
                message.to, message.to
            );
            // After a crash before the last step, the same file is written again.
            let answer = LocalMessage {
                status: Status::Pending,
                ..LocalMessage::delivered(
                    &format!("refusal-{id}"),
                    local,
                    to,
                    &body,
                    clock::wall_ms(),
                )
            };
            let out = self.spool.dirs.out().join(to);
            make_dir(&out)?;
            answer.write(&out)?;
        }
        self.store.advance(local, id, Stage::New, Stage::Done)?;
        info!(local, id, reason, "message refused");
        Ok(())
    }

    /// Places one message; returns the reason if it has to wait.
    fn place_one(&self, local: &str, id: &str) -> io::Result<Option<String>> {
        let Some(state) = self.state.read() else {
            return Ok(Some("multiclaude has no state".to_owned()));
        };
        let Some(repo) = state.repos.get(&self.spool.nickname) else {
            return Ok(Some(format!("multiclaude has no repo {}", self.spool.nickname)));
        };
        // Of a role that stands down, the directory is a link to another machine.
        let agent = repo.agents.get(local).filter(|_| self.spool.is_local(local, Some(&state)));
        let Some(agent) = agent else {
            return Ok(Some(format!("{local} is not running here")));
        };
        let record = self.registry.records.get(local);
        if record.is_some_and(|record| is_successor(agent, &record.created_at)) {
            return Ok(Some(format!("it is for an earlier {local}, which has ended")));
        }
        let message = match self.store.get(local, Stage::New, id)? {
            Stored::Message { message, .. } => {
                self.link_sender(&message.from, repo);
                let text = match self.seal.open(&message) {
                    Ok(text) => text,
                    Err(reason) => {
                        return Ok(Some(format!("it cannot be decrypted now: {reason}")));
                    }
                };
                let from = message.from.to_string();
                LocalMessage::delivered(id, &from, local, &text, message.created_at.0)
            }
            Stored::Notice { id, body, at_ms } => {
                LocalMessage::delivered(&id, BRIDGE_NAME, local, &body, at_ms)
            }
        };
        let dir = self.spool.messages.join(local);
        // After a crash the file may exist already.
        if !dir.join(format!("{id}.json")).exists() {
            make_dir(&dir)?;
            message.write(&dir)?;
        }
        self.store.advance(local, id, Stage::New, Stage::Placed)?;
        info!(local, id, from = message.from, "message placed");
        self.hop.offer(local, id);
        Ok(None)
    }

    /// Makes an agent of another machine addressable here: an answer can be sent as soon as
    /// the message can be read. If the link fails, the message is placed nevertheless.
    fn link_sender(&self, from: &Sender, repo: &LocalRepo) {
        if let Sender::Agent(from) = from
            && !repo.agents.contains_key(from.as_str())
        {
            let linked = self.spool.links.link(from.as_str());
            self.unlinked.note(from.as_str(), linked);
        }
    }

    /// Stops handing messages over.
    pub fn stop(&self) {
        self.hop.stop();
    }

    /// Why stored messages wait, by local agent and id.
    pub fn held(&self) -> BTreeMap<(String, String), Reason> {
        locked(&self.held).clone()
    }

    /// The placed messages of a local agent that wait for the last hop, and why.
    pub fn hop_waiting(&self, local: &str) -> Vec<(String, String)> {
        self.hop.waiting(local)
    }

    /// For each local agent, how many messages wait, and why the first of them does.
    pub fn held_by_agent(&self) -> BTreeMap<String, String> {
        let new = self.held();
        let of_agent = |local: String| {
            let ids = |stage| self.store.ids(&local, stage).unwrap_or_default().into_iter();
            let placed = self.hop.waiting(&local).into_iter().map(|(_, reason)| reason);
            let new = ids(Stage::New)
                .filter_map(|id| new.get(&(local.clone(), id)).map(Reason::to_string));
            let reasons: Vec<String> = placed.chain(new).collect();
            let first = reasons.first()?;
            let held = format!("{}: {first}", reasons.len());
            Some((local, held))
        };
        self.store.locals().unwrap_or_default().into_iter().filter_map(of_agent).collect()
    }

    /// The number of messages that have a file and are not acknowledged.
    pub fn unacknowledged(&self, local: &str) -> usize {
        let count = |stage| self.store.count(local, stage);
        Stage::OPEN.into_iter().map(count).sum()
    }

    /// The messages on disk.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
