//! What runs behind an [`Inbox`](super::Inbox): it takes commands at any
//! moment, waits out outages and chooses the way.
//!
//! One task owns everything, so nothing is lost when a consumer drops a future,
//! and a stream stays alive while a consumer thinks.

use super::memory::{Known, Memory, Said};
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

/// What a consumer says.
#[derive(Debug)]
pub(super) enum Command {
    /// A message is confirmed. `done` is answered when it was told, and dropped
    /// when that has to wait.
    Confirm { id: MessageId, status: MessageStatus, done: oneshot::Sender<()> },
    /// Answer when the coordinator has everything.
    Flush(oneshot::Sender<()>),
}

/// A confirmation on its way.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) id: MessageId,
    pub(super) status: MessageStatus,
    pub(super) done: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
pub(super) struct Task {
    // The first field, so that it is closed before a `Word` is dropped.
    commands: mpsc::UnboundedReceiver<Command>,
    letters: mpsc::Sender<Message>,
    pub(super) repo: RepoClient,
    pub(super) name: AgentName,
    pub(super) options: InboxOptions,
    memory: Memory,
    /// Yielded, and not taken by the consumer yet.
    pub(super) ready: VecDeque<Message>,
    /// First confirmations, to be told on the way in use. One that gets lost is
    /// asked for again: its message is offered.
    pub(super) fresh: VecDeque<Word>,
    /// What only a PATCH tells for sure.
    pub(super) owed: VecDeque<Word>,
    flushes: Vec<oneshot::Sender<()>>,
    /// Polls until then; by stream otherwise.
    pub(super) poll_until: Option<Instant>,
    /// Streams in a row that came to nothing while plain calls worked.
    pub(super) hopeless: u32,
    /// Has the coordinator ever answered?
    pub(super) met: bool,
    /// Failures in a row, for the backoff.
    pub(super) failures: u32,
    /// Since when the consumer is told to be in an outage.
    away: Option<Instant>,
    /// The next failure is the end of a stream that has worked: no outage yet.
    pub(super) broke: bool,
}

impl Task {
    pub(super) fn new(
        repo: RepoClient,
        name: AgentName,
        options: InboxOptions,
        commands: mpsc::UnboundedReceiver<Command>,
        letters: mpsc::Sender<Message>,
    ) -> Self {
        Self {
            commands,
            letters,
            repo,
            name,
            options,
            memory: Memory::default(),
            ready: VecDeque::new(),
            fresh: VecDeque::new(),
            owed: VecDeque::new(),
            flushes: Vec::new(),
            poll_until: None,
            hopeless: 0,
            met: false,
            failures: 0,
            away: None,
            broke: false,
        }
    }

    /// Works until something ends it.
    pub(super) async fn run(mut self) -> Error {
        loop {
            let polling = self.options.polling || self.poll_until.is_some();
            let ended = if polling { self.poll().await } else { self.stream().await };
            self.release();
            let Err(error) = ended else { continue };
            if verdict::of_call(&error, self.met) == Verdict::Fatal {
                return error;
            }
            if let Err(gone) = self.wait_out(&error).await {
                return gone;
            }
        }
    }

    async fn wait_out(&mut self, error: &Error) -> Result<(), Error> {
        if !mem::take(&mut self.broke) && self.away.is_none() {
            self.away = Some(Instant::now());
            self.tell(Connection::Away(error));
        }
        self.failures = self.failures.saturating_add(1);
        let wait = BACKOFF.wait_after(error, self.failures, fastrand::f64());
        self.meanwhile(sleep(wait)).await
    }

    /// The coordinator has answered.
    pub(super) fn came_back(&mut self) {
        self.met = true;
        if let Some(since) = self.away.take() {
            self.tell(Connection::Back(since.elapsed()));
        }
    }

    fn tell(&self, change: Connection<'_>) {
        if let Some(call) = &self.options.on_change {
            call(change);
        }
    }

    /// What waits to be told cannot be at the moment: nobody waits for that.
    fn release(&mut self) {
        for word in self.fresh.iter_mut().chain(&mut self.owed) {
            word.done = None;
        }
    }

    /// Works on something that the way in use is not needed for.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                served = self.consumer() => {
                    served?;
                    self.release();
                }
            }
        }
    }

    /// Waits for the consumer: it takes a letter or gives a command. Nothing is
    /// lost if this is dropped.
    pub(super) async fn consumer(&mut self) -> Result<(), Error> {
        let command = tokio::select! {
            command = self.commands.recv() => command.ok_or(Error::Ended)?,
            permit = self.letters.reserve(), if !self.ready.is_empty() => {
                let permit = permit.map_err(|_| Error::Ended)?;
                if let Some(message) = self.ready.pop_front() {
                    permit.send(message);
                }
                return Ok(());
            }
        };
        self.record(command);
        Ok(())
    }

    fn record(&mut self, command: Command) {
        match command {
            Command::Confirm { id, status, done } => {
                let said = self.memory.confirm(&id, status);
                let done = Some(done);
                let word = Word { id, status, done };
                match said {
                    Said::First => self.fresh.push_back(word),
                    Said::More => self.owed.push_back(word),
                    Said::Nothing => {}
                }
            }
            Command::Flush(done) if self.memory.is_blank() && self.owed.is_empty() => {
                // Whoever asked may have left.
                let _ = done.send(());
            }
            Command::Flush(done) => self.flushes.push(done),
        }
    }

    /// The coordinator offers a message. `true`: it is new.
    pub(super) fn meet(&mut self, message: Message) -> bool {
        let known = self.memory.meet(&message.id);
        match known {
            Known::New => self.ready.push_back(message),
            Known::Open => {}
            Known::Confirmed(status) => {
                self.fresh.push_back(Word { id: message.id, status, done: None });
            }
        }
        known == Known::New
    }

    /// A page of what waits.
    pub(super) fn page(
        &self,
        after: Option<MessageId>,
        limit: u32,
        wait: Duration,
    ) -> impl Future<Output = Result<Page<Message>, Error>> + use<> {
        let (repo, name) = (self.repo.clone(), self.name.clone());
        let agent = self.options.agent.clone();
        let filter = MessageFilter {
            status: Some(MessageStatus::Pending),
            after,
            limit: Some(limit),
            wait: (!wait.is_zero()).then_some(wait),
        };
        async move { repo.messages_for(&name, &filter, agent.as_ref()).await }
    }

    /// Tells by PATCH what is owed, in order. What the coordinator knows better
    /// (the message has failed, or is gone) need not be told.
    pub(super) async fn pay(&mut self) -> Result<(), Error> {
        while let Some(word) = self.owed.front() {
            let agent = self.options.agent.as_ref();
            let told = self.repo.report(&word.id, word.status, agent).await;
            let moot = |code| {
                let moot = [ErrorCode::MessageNotFound, ErrorCode::InvalidTransition];
                moot.contains(&code)
            };
            match told {
                Err(error) if !error.code().is_some_and(moot) => return Err(error),
                _ => answer(self.owed.pop_front()),
            }
        }
        Ok(())
    }

    /// Answers who waits for a flush: what the coordinator still has as pending,
    /// though it was confirmed, is told by PATCH. That list, like every call,
    /// makes the coordinator write its marks first.
    pub(super) async fn answer_flushes(&mut self) -> Result<(), Error> {
        let mut after = None;
        while !self.flushes.is_empty() {
            let page = self.page(after.take(), 500, Duration::ZERO).await?;
            for message in &page.items {
                if let Known::Confirmed(status) = self.memory.look(&message.id) {
                    let (id, done) = (message.id.clone(), None);
                    self.owed.push_back(Word { id, status, done });
                }
            }
            after = page.items.last().map(|last| last.id.clone());
            if page.more && after.as_ref().is_some_and(|last| self.memory.reaches(last)) {
                continue;
            }
            self.pay().await?;
            for flush in self.flushes.drain(..) {
                let _ = flush.send(());
            }
        }
        Ok(())
    }
}

/// Answers whoever waits for a word to be told.
pub(super) fn answer(word: Option<Word>) {
    if let Some(done) = word.and_then(|word| word.done) {
        // Its future may have been dropped.
        let _ = done.send(());
    }
}
