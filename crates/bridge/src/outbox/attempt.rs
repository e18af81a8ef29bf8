//! One attempt with one message.

use super::Outbox;
use super::next::{Attempts, Next};
use crate::clock;
use crate::connection::is_retryable;
use crate::dirs::remove;
use crate::lock::locked;
use crate::multiclaude::LocalMessage;
use crate::registry::{Failure, Record, unregistered};
use crate::seal::NotSealed;
use crate::spool::Entry;
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use multiclaude_hybrid_client::protocol::message::{NewMessage, Sender};
use multiclaude_hybrid_client::protocol::{AgentName, ErrorCode};
use std::io;
use std::time::Duration;
use tokio::time::sleep;
use tracing::{debug, info};

/// Metadata with the id of multiclaude's file, by which a reader can recognise a message
/// that came twice.
const LOCAL_ID: &str = "local_id";
/// The margin before the coordinator forgets a key, after 8 days.
const MARGIN_HOURS: u64 = 6;
/// An older message is returned: without its key a repeat could be a second message.
const TOO_OLD: Duration = Duration::from_hours(8 * 24 - MARGIN_HOURS);
/// A list of agents of at most this age need not be read again for one key.
const LIST_FRESH_MS: i64 = 10_000;

impl Outbox {
    /// Tries to send a message once.
    pub(super) async fn attempt(&self, entry: &Entry, before: &mut Attempts) -> io::Result<Next> {
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
}

/// How long a message that was written at `written`, in nanoseconds, may still be sent.
fn time_left(written: i64) -> Duration {
    let age = clock::wall_nanos().saturating_sub(written).max(0);
    TOO_OLD.saturating_sub(Duration::from_nanos(age.cast_unsigned()))
}
