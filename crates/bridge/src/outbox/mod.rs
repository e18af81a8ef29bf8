//! Sends queued messages: one task per recipient, one message at a time.
//!
//! A message is sent under an idempotency key derived from its file, and the file is
//! removed only after the API has answered. After a crash between the two it is sent again,
//! and the API answers with the first message.
//!
//! Cost per message: one Worker request and one Durable Object request; one
//! rename and one unlink here.

mod attempt;
mod next;
mod sender;

use crate::connection::Connection;
use crate::dirs::remove;
use crate::inbox::{Inbox, notice};
use crate::lock::locked;
use crate::multiclaude::{LocalMessage, Paths, StateFile};
use crate::registry::Registry;
use crate::seal::Seal;
use crate::spool::{Entry, Spool, recipients};
use crate::trouble::Trouble;
use multiclaude_hybrid_client::Retries;
use next::{Attempts, Next};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

/// The waits between two attempts with one message, while the coordinator is online.
const AGAIN: Retries = Retries {
    attempts: u32::MAX,
    first: Duration::from_millis(500),
    longest: Duration::from_mins(1),
};
/// Characters of a returned message that are quoted.
const QUOTED: usize = 400;

/// Sends the messages of one repo.
#[derive(Debug)]
pub struct Outbox {
    /// The queue.
    pub spool: Arc<Spool>,
    /// The connection to the coordinator.
    pub connection: Arc<Connection>,
    /// The registrations of the senders.
    pub registry: Arc<Registry>,
    /// The inbox for returned messages.
    pub inbox: Arc<Inbox>,
    /// The encryption.
    pub seal: Arc<Seal>,
    /// multiclaude's state, with the local names.
    pub state: Arc<StateFile>,
    /// multiclaude's files.
    pub paths: Paths,
    /// The id of this home in idempotency keys.
    pub instance: String,
    /// Is the bridge stopping?
    pub stopping: AtomicBool,
    /// Why messages wait, by recipient.
    pub waiting: Mutex<BTreeMap<String, String>>,
}

impl Outbox {
    /// Sends messages until it is stopped or dropped.
    pub async fn run(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        let mut served = BTreeSet::new();
        let mut ready = self.spool.ready.subscribe();
        loop {
            for recipient in recipients(&self.spool.dirs).unwrap_or_default() {
                if served.insert(recipient.clone()) {
                    let outbox = Arc::clone(&self);
                    tasks.spawn(async move { outbox.serve(recipient).await });
                }
            }
            if ready.changed().await.is_err() || self.stopping.load(Ordering::Relaxed) {
                break;
            }
        }
        // Finish the messages in flight; the others stay in the queue.
        while tasks.join_next().await.is_some() {}
    }

    /// Sends no further message; [`Outbox::run`] ends when none is in flight.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.spool.ready.send_modify(|count| *count += 1);
    }

    async fn serve(&self, recipient: String) {
        let mut ready = self.spool.ready.subscribe();
        let unreadable = Trouble::new("the queue cannot be read", "the queue can be read again");
        while !self.stopping.load(Ordering::Relaxed) {
            ready.mark_unchanged();
            let Some(entries) = unreadable.note(&recipient, self.spool.sendable(&recipient)) else {
                sleep(AGAIN.longest).await;
                continue;
            };
            for entry in &entries {
                self.send_until_done(&recipient, entry).await;
            }
            if entries.is_empty() && ready.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tries to send a message until it is no longer in the queue, or the bridge stops.
    async fn send_until_done(&self, recipient: &str, entry: &Entry) {
        let mut before = Attempts::default();
        let mut reach = self.connection.watch();
        while !self.stopping.load(Ordering::Relaxed) {
            before.attempts = before.attempts.saturating_add(1);
            reach.mark_unchanged();
            let next = self.attempt(entry, &mut before).await;
            let next = next.unwrap_or_else(|error| Next::Again(error.to_string(), None));
            let (reason, wait) = match next {
                Next::Done => break,
                Next::Again(reason, wait) => (reason, wait),
                Next::Return(reason) => match self.return_to_sender(recipient, entry, &reason) {
                    Ok(()) => break,
                    Err(error) => (error.to_string(), None),
                },
            };
            self.note_reason(recipient, &reason);
            let usual = sleep(AGAIN.wait(before.attempts, fastrand::f64()));
            let asked = sleep(wait.unwrap_or_default());
            let attempts = &mut before.attempts;
            let usual = async {
                tokio::select! {
                    () = usual => {}
                    // The coordinator went away or came back: start again with short waits.
                    _ = reach.changed() => *attempts = 0,
                }
            };
            tokio::select! {
                _ = async { tokio::join!(usual, asked) } => {}
                () = self.stopped() => {}
            }
        }
        locked(&self.waiting).remove(recipient);
    }

    /// Waits until the bridge stops.
    async fn stopped(&self) {
        let mut ready = self.spool.ready.subscribe();
        // An error also means the end.
        let _ = ready.wait_for(|_| self.stopping.load(Ordering::Relaxed)).await;
    }

    fn note_reason(&self, recipient: &str, reason: &str) {
        let before = locked(&self.waiting).insert(recipient.to_owned(), reason.to_owned());
        if before.as_deref() != Some(reason) {
            warn!(recipient, reason, "messages wait");
        }
    }

    /// Returns a message to its sender, if the sender is a local agent.
    fn return_to_sender(&self, recipient: &str, entry: &Entry, reason: &str) -> io::Result<()> {
        let Some(message) = LocalMessage::read(&entry.path)? else {
            return self.spool.set_aside(entry);
        };
        let state = self.state.read();
        let local = self.sender(&message, state.as_deref());
        let repo = state.as_ref().and_then(|state| state.repos.get(&self.spool.nickname));
        if repo.is_some_and(|repo| repo.agents.contains_key(&local)) {
            let quoted: String = message.body.chars().take(QUOTED).collect();
            let more = if message.body.chars().count() > QUOTED { "…" } else { "" };
            let body = format!(
                "Your message to {} was not sent: {reason}.\n\nIt said: {quoted}{more}",
                message.to
            );
            self.inbox.accept(&local, &notice(&entry.id, &body))?;
            warn!(
                recipient,
                id = entry.id,
                from = local,
                reason,
                "not sent; returned to its sender"
            );
            return remove(&entry.path);
        }
        warn!(
            recipient,
            id = entry.id,
            from = local,
            reason,
            "not sent; its sender has ended, so it is kept"
        );
        self.spool.set_aside(entry)
    }
}
