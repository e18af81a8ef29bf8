//! Sends queued messages: one task per recipient, one message at a time.
//!
//! A message is sent under an idempotency key derived from its file, and the file is
//! removed only after the API has answered. After a crash between the two it is sent again,
//! and the API answers with the first message.
//!
//! Cost per message: one Worker request and one Durable Object request; one
//! rename and one unlink here.

mod sender;

use crate::clock;
use crate::connection::{Connection, is_retryable};
use crate::dirs::remove;
use crate::inbox::{Inbox, notice};
use crate::lock::locked;
use crate::multiclaude::{LocalMessage, Paths, StateFile};
use crate::registry::{Failure, Record, Registry, unregistered};
use crate::seal::{NotSealed, Seal};
use crate::spool::{Entry, Spool, recipients};
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use multiclaude_hybrid_client::protocol::message::{NewMessage, Sender};
use multiclaude_hybrid_client::protocol::{AgentName, ErrorCode};
use multiclaude_hybrid_client::{Error, Retries};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// Metadata with the id of multiclaude's file, by which a reader can recognise a message
/// that came twice.
const LOCAL_ID: &str = "local_id";
/// The margin before the coordinator forgets a key, after 8 days.
const MARGIN_HOURS: u64 = 6;
/// An older message is returned: without its key a repeat could be a second message.
const TOO_OLD: Duration = Duration::from_hours(8 * 24 - MARGIN_HOURS);
/// The waits between two attempts with one message, while the coordinator is online.
const AGAIN: Retries = Retries {
    attempts: u32::MAX,
    first: Duration::from_millis(500),
    longest: Duration::from_mins(1),
};
/// A list of agents of at most this age need not be read again for one key.
const LIST_FRESH_MS: i64 = 10_000;
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

/// The earlier attempts with a message.
#[derive(Debug, Default)]
struct Attempts {
    attempts: u32,
    /// Its sender was registered again, because the coordinator did not know it.
    registered: bool,
}

/// The next step after one attempt with a message.
enum Next {
    /// It is no longer in the queue.
    Done,
    /// Try again, for this reason, and not before this time if the coordinator asks for it.
    Again(String, Option<Duration>),
    /// Return it to its sender, for this reason.
    Return(String),
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

    async fn attempt(&self, entry: &Entry, before: &mut Attempts) -> io::Result<Next> {
        let Some(message) = LocalMessage::read(&entry.path)? else {
            // It was removed or damaged.
            if entry.path.exists() {
                self.spool.set_aside(entry)?;
            }
            return Ok(Next::Done);
        };
        if self.spool.is_local(&message.to, self.state.read().as_deref()) {
            self.spool.give_back(&message.to, entry)?;
            info!(recipient = message.to, id = entry.id, "its recipient is a local agent now");
            return Ok(Next::Done);
        }
        let to = match AgentName::parse(&message.to) {
            Ok(name) => name,
            Err(error) => {
                return Ok(Next::Return(format!("no agent can have this name: it {error}")));
            }
        };
        let written = message.nanos().unwrap_or(entry.place);
        tokio::select! {
            () = self.connection.online() => {}
            () = sleep(time_left(written)) => {}
        }
        // The sleep does not count the time in which the machine was suspended.
        if time_left(written).is_zero() {
            let reason = locked(&self.waiting).get(&message.to).cloned();
            let reason = reason
                .or_else(|| {
                    (!self.connection.is_online()).then(|| "the coordinator is away".to_owned())
                })
                .unwrap_or_else(|| "no bridge ran here".to_owned());
            return Ok(Next::Return(format!("it could not be sent for almost 8 days ({reason})")));
        }
        self.deliver(entry, &message, &to, written, before).await
    }

    /// Sends a message that was written at `written`, in nanoseconds.
    async fn deliver(
        &self,
        entry: &Entry,
        message: &LocalMessage,
        to: &AgentName,
        written: i64,
        before: &mut Attempts,
    ) -> io::Result<Next> {
        if self.registry.read().config.is_none() && self.registry.refresh().await.is_err() {
            return Ok(Next::Again("the repo cannot be read at the coordinator".to_owned(), None));
        }
        let state = self.state.read();
        let local = self.sender(message, state.as_deref());
        let record = match self.sender_record(&local, state.as_deref()).await {
            Ok(record) => record,
            Err(next) => return Ok(next),
        };
        let mut sent =
            NewMessage::new(Sender::Agent(record.name.clone()), to.clone(), &message.body);
        sent.metadata.insert(LOCAL_ID.to_owned(), entry.id.clone());
        let sealed = match self.sealed(sent, written).await {
            Ok(sealed) => sealed,
            Err(next) => return Ok(next),
        };
        let key = format!("bridge-{}-{}", self.instance, entry.id);
        let answer = self.connection.note(self.connection.repo.send(&sealed, Some(&key)).await);
        match answer {
            Ok(answer) => {
                debug!(id = %answer.id, from = %answer.from, to = %answer.to, "sent");
                remove(&entry.path)?;
                Ok(Next::Done)
            }
            Err(error) => self.after_refusal(error, entry, (&local, record), to, before).await,
        }
    }

    /// Encrypts a message that was written at `written`, in nanoseconds, if it has to be.
    async fn sealed(&self, message: NewMessage, written: i64) -> Result<NewMessage, Next> {
        // The recipient may have registered after the list was read.
        let read_at = self.registry.read().at_ms;
        let is_old = read_at <= written / 1_000_000 || clock::wall_ms() - read_at > LIST_FRESH_MS;
        if is_old
            && self.seal.needs_key_of(&message.to, &self.registry)
            && self.registry.refresh().await.is_err()
        {
            return Err(Next::Again("the key of its recipient cannot be read".to_owned(), None));
        }
        self.seal.seal(message, &self.registry).map_err(|error| match error {
            NotSealed::Later(reason) => Next::Again(reason, None),
            NotSealed::Refused(reason) => Next::Return(reason),
        })
    }

    /// The next step after a refusal.
    async fn after_refusal(
        &self,
        error: Error,
        entry: &Entry,
        (local, record): (&str, Record),
        to: &AgentName,
        before: &mut Attempts,
    ) -> io::Result<Next> {
        if is_retryable(&error) {
            return Ok(Next::Again(error.to_string(), error.retry_after()));
        }
        match error.code() {
            // It arrived in an earlier attempt, sealed differently, whose answer was lost:
            // the key is unique to this file.
            Some(ErrorCode::IdempotencyMismatch) => {
                remove(&entry.path)?;
                return Ok(Next::Done);
            }
            // The registry was emptied, or the sender was superseded.
            Some(ErrorCode::Forbidden) if !before.registered => {
                let again = self.registry.register(local, record, AgentStatus::Active).await;
                before.registered = again.is_ok();
                if !matches!(again, Err(Failure::Refused(_))) {
                    return Ok(Next::Again(error.to_string(), None));
                }
            }
            // It may have been registered since the list was read.
            Some(ErrorCode::AgentNotFound) => {
                let known = || self.registry.read().agents.iter().any(|agent| agent.name == *to);
                if self.registry.refresh().await.is_err() || known() {
                    return Ok(Next::Again(error.to_string(), None));
                }
                return Ok(Next::Return(unregistered(to)));
            }
            _ => {}
        }
        Ok(Next::Return(error.to_string()))
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

/// How long a message that was written at `written`, in nanoseconds, may still be sent.
fn time_left(written: i64) -> Duration {
    let age = clock::wall_nanos().saturating_sub(written).max(0);
    TOO_OLD.saturating_sub(Duration::from_nanos(age.cast_unsigned()))
}
