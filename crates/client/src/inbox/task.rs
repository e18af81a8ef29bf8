//! The task of an [`Inbox`](super::Inbox): it accepts commands at any time, retries through
//! outages, and chooses between a stream and long polls.
//!
//! One task owns all state, so nothing is lost when a consumer drops a future, and a stream
//! stays open while a consumer is busy.

use super::memory::{Effect, Memory, State};
use super::options::{Connection, InboxOptions};
use super::verdict::{self, Verdict};
use crate::{Error, MessageFilter, Page, RepoClient, Retries};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use multiclaude_hybrid_protocol::{AgentName, ErrorCode, MessageId};
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// The waits in an outage.
const BACKOFF: Retries = Retries {
    attempts: u32::MAX,
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
};

#[derive(Debug)]
pub(super) enum Command {
    /// Confirms a message. `done` is answered when the confirmation was sent, and
    /// dropped when an outage delays it.
    Confirm { id: MessageId, status: MessageStatus, done: oneshot::Sender<()> },
    /// Answers when the coordinator has every confirmation.
    Flush(oneshot::Sender<()>),
}

/// A confirmation that is still to be sent.
#[derive(Debug)]
pub(super) struct Confirmation {
    pub(super) id: MessageId,
    pub(super) status: MessageStatus,
    pub(super) done: Option<oneshot::Sender<()>>,
}

pub(super) struct Task {
    // The first field, so that it is closed before a `Confirmation` is dropped.
    commands: mpsc::UnboundedReceiver<Command>,
    messages: mpsc::Sender<Message>,
    pub(super) repo: RepoClient,
    pub(super) name: AgentName,
    pub(super) options: InboxOptions,
    memory: Memory,
    /// Messages for the consumer.
    pub(super) ready: VecDeque<Message>,
    /// First confirmations, sent over the stream or the poll in use. If one is lost,
    /// the coordinator offers its message again.
    pub(super) unconfirmed: VecDeque<Confirmation>,
    /// Confirmations that must not be lost: they are sent by PATCH.
    pub(super) patches: VecDeque<Confirmation>,
    flushes: Vec<oneshot::Sender<()>>,
    /// Poll until this time; then try a stream.
    pub(super) poll_until: Option<Instant>,
    /// Streams in a row that delivered nothing while plain calls worked.
    pub(super) useless_streams: u32,
    /// Has the coordinator ever answered?
    pub(super) was_reached: bool,
    /// Failures in a row, for the backoff.
    pub(super) failures: u32,
    /// The beginning of the outage, once the consumer was notified of it.
    away: Option<Instant>,
    /// The stream that ended had worked: its end is not an outage yet.
    pub(super) stream_worked: bool,
}

impl Task {
    pub(super) fn new(
        repo: RepoClient,
        name: AgentName,
        options: InboxOptions,
        commands: mpsc::UnboundedReceiver<Command>,
        messages: mpsc::Sender<Message>,
    ) -> Self {
        Self {
            commands,
            messages,
            repo,
            name,
            options,
            memory: Memory::default(),
            ready: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            patches: VecDeque::new(),
            flushes: Vec::new(),
            poll_until: None,
            useless_streams: 0,
            was_reached: false,
            failures: 0,
            away: None,
            stream_worked: false,
        }
    }

    /// Works until something ends it.
    pub(super) async fn run(mut self) -> Error {
        loop {
            let polling = self.options.polling || self.poll_until.is_some();
            let ended = if polling { self.poll().await } else { self.stream().await };
            self.release_callers();
            let Err(error) = ended else { continue };
            if verdict::of_call(&error, self.was_reached) == Verdict::Fatal {
                return error;
            }
            if let Err(gone) = self.back_off(&error).await {
                return gone;
            }
        }
    }

    async fn back_off(&mut self, error: &Error) -> Result<(), Error> {
        if !mem::take(&mut self.stream_worked) && self.away.is_none() {
            self.away = Some(Instant::now());
            self.notify(Connection::Away(error));
        }
        self.failures = self.failures.saturating_add(1);
        let wait = BACKOFF.wait_after(error, self.failures, fastrand::f64());
        self.while_serving(sleep(wait)).await
    }

    /// Notes that the coordinator has answered.
    pub(super) fn back_online(&mut self) {
        self.was_reached = true;
        if let Some(since) = self.away.take() {
            self.notify(Connection::Back(since.elapsed()));
        }
    }

    fn notify(&self, change: Connection<'_>) {
        if let Some(call) = &self.options.on_change {
            call(change);
        }
    }

    /// Confirmations cannot be sent now: lets their callers return.
    fn release_callers(&mut self) {
        for confirmation in self.unconfirmed.iter_mut().chain(&mut self.patches) {
            confirmation.done = None;
        }
    }

    /// Runs `work` while serving the consumer.
    pub(super) async fn while_serving<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                served = self.serve_consumer() => {
                    served?;
                    self.release_callers();
                }
            }
        }
    }

    /// Waits until the consumer receives a message or sends a command. Nothing is lost if
    /// this is dropped.
    pub(super) async fn serve_consumer(&mut self) -> Result<(), Error> {
        let command = tokio::select! {
            command = self.commands.recv() => command.ok_or(Error::Ended)?,
            permit = self.messages.reserve(), if !self.ready.is_empty() => {
                let permit = permit.map_err(|_| Error::Ended)?;
                if let Some(message) = self.ready.pop_front() {
                    permit.send(message);
                }
                return Ok(());
            }
        };
        self.execute(command);
        Ok(())
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Confirm { id, status, done } => {
                let effect = self.memory.confirm(&id, status);
                let confirmation = Confirmation { id, status, done: Some(done) };
                match effect {
                    Effect::First => self.unconfirmed.push_back(confirmation),
                    Effect::More => self.patches.push_back(confirmation),
                    Effect::Nothing => {}
                }
            }
            Command::Flush(done) if self.memory.is_empty() && self.patches.is_empty() => {
                // The caller may have dropped its future.
                let _ = done.send(());
            }
            Command::Flush(done) => self.flushes.push(done),
        }
    }

    /// Takes a message that the coordinator offers; returns whether it is new.
    pub(super) fn receive(&mut self, message: Message) -> bool {
        let state = self.memory.offer(&message.id);
        match state {
            State::New => self.ready.push_back(message),
            State::Open => {}
            State::Confirmed(status) => {
                self.unconfirmed.push_back(Confirmation { id: message.id, status, done: None });
            }
        }
        state == State::New
    }

    /// A page of the pending messages.
    pub(super) fn pending(
        &self,
        after: Option<MessageId>,
        limit: u32,
        wait: Duration,
    ) -> impl Future<Output = Result<Page<Message>, Error>> + use<> {
        let (repo, name) = (self.repo.clone(), self.name.clone());
        let filter = MessageFilter {
            agent: self.options.agent.clone(),
            status: Some(MessageStatus::Pending),
            after,
            limit: Some(limit),
            wait: (!wait.is_zero()).then_some(wait),
        };
        async move { repo.messages(&name, &filter).await }
    }

    /// Sends the confirmations in `patches`, in order. A message that has failed or is
    /// gone at the coordinator needs none.
    pub(super) async fn send_patches(&mut self) -> Result<(), Error> {
        while let Some(confirmation) = self.patches.front() {
            let agent = self.options.agent.as_ref();
            let sent = self.repo.report(&confirmation.id, confirmation.status, agent).await;
            let needs_none =
                |code| matches!(code, ErrorCode::MessageNotFound | ErrorCode::InvalidTransition);
            match sent {
                Err(error) if !error.code().is_some_and(needs_none) => return Err(error),
                _ => resolve(self.patches.pop_front()),
            }
        }
        Ok(())
    }

    /// Answers the callers of flush, after it has sent by PATCH every confirmation of a
    /// message that the coordinator still lists as pending. Listing, like every call, makes
    /// the coordinator write its marks first.
    pub(super) async fn answer_flushes(&mut self) -> Result<(), Error> {
        let mut after = None;
        while !self.flushes.is_empty() {
            let page = self.pending(after.take(), 500, Duration::ZERO).await?;
            for message in &page.items {
                if let State::Confirmed(status) = self.memory.state(&message.id) {
                    let (id, done) = (message.id.clone(), None);
                    self.patches.push_back(Confirmation { id, status, done });
                }
            }
            after = page.items.last().map(|last| last.id.clone());
            if page.more && after.as_ref().is_some_and(|last| self.memory.covers(last)) {
                continue;
            }
            self.send_patches().await?;
            for flush in self.flushes.drain(..) {
                let _ = flush.send(());
            }
        }
        Ok(())
    }
}

/// Answers the caller of a confirmation that was sent.
pub(super) fn resolve(confirmation: Option<Confirmation>) {
    if let Some(done) = confirmation.and_then(|confirmation| confirmation.done) {
        // Its future may have been dropped.
        let _ = done.send(());
    }
}
