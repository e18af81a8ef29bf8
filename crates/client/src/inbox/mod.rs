//! An agent's messages as they come, each once.
//!
//! | file | contents |
//! |---|---|
//! | this one | the consumer's side: [`Inbox`] and [`ReceivedMessage`] |
//! | `options` | the options, and notifications of outages |
//! | `memory` | which messages were yielded and confirmed |
//! | `verdict` | which failures end it, and which are retried |
//! | `task` | the background task: commands, outages, stream or polls |
//! | `receive` | the two ways to receive: a stream and long polls |

mod memory;
mod options;
mod receive;
mod task;
mod verdict;

pub use options::{Connection, InboxOptions, OnChange};

use crate::{Error, RepoClient};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use multiclaude_hybrid_protocol::{AgentName, MessageId};
use std::ops::Deref;
use task::{Command, Task};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// An agent's messages, oldest first, each yielded once per process: by stream,
/// or by long poll where there is none, through restarts and outages of the
/// coordinator.
///
/// Delivery is *at least once* at the coordinator: a message that no process has
/// confirmed comes again to the next one, under the same id.
///
/// ```no_run
/// # async fn example(repo: multiclaude_hybrid_client::RepoClient) -> Result<(), Box<dyn std::error::Error>> {
/// use multiclaude_hybrid_client::protocol::AgentName;
/// use multiclaude_hybrid_client::{Connection, InboxOptions};
///
/// let options = InboxOptions::default().on_change(|change| match change {
///     Connection::Away(error) => eprintln!("waiting: {error}"),
///     Connection::Back(after) => eprintln!("back after {} s", after.as_secs()),
///     _ => {}
/// });
/// let mut inbox = repo.inbox(&AgentName::parse("queue")?, options);
/// for _ in 0..10 {
///     let message = inbox.next().await?;
///     println!("{}: {}", message.from, message.body);
///     message.acked().await?;
/// }
/// inbox.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Inbox {
    messages: mpsc::Receiver<Message>,
    commands: mpsc::UnboundedSender<Command>,
    /// `None` after its error was returned.
    task: Option<JoinHandle<Error>>,
    /// The message that is not confirmed yet.
    unconfirmed: Option<MessageId>,
}

impl RepoClient {
    /// Opens the inbox of the agent `name`. It begins at once, in a task of its
    /// own on the runtime that this is called on, and ends when it is dropped.
    pub fn inbox(&self, name: &AgentName, options: InboxOptions) -> Inbox {
        let (sender, messages) = mpsc::channel(1);
        let (commands, received) = mpsc::unbounded_channel();
        let task = Task::new(self.clone(), name.clone(), options, received, sender);
        Inbox { messages, commands, task: Some(tokio::spawn(task.run())), unconfirmed: None }
    }
}

impl Inbox {
    /// Waits for the next message, without a time limit. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`] while the message before is not confirmed. The error that
    /// ended the inbox, once: the token or the agent is gone, a newer stream or
    /// a newer incarnation has taken over ([`Error::Closed`] with 4409,
    /// `agent_superseded`), or the first call was not answered by a coordinator. From
    /// then on [`Error::Ended`]. An outage is not an error.
    pub async fn next(&mut self) -> Result<ReceivedMessage<'_>, Error> {
        if let Some(id) = &self.unconfirmed {
            return Err(Error::Unconfirmed(id.clone()));
        }
        match self.messages.recv().await {
            Some(message) => {
                self.unconfirmed = Some(message.id.clone());
                Ok(ReceivedMessage { inbox: self, message })
            }
            None => Err(self.ending().await),
        }
    }

    /// Confirms a message as [`ReceivedMessage::delivered`] does, after that was dropped.
    pub async fn delivered(&mut self, id: &MessageId) -> Result<(), Error> {
        self.confirm(id, MessageStatus::Delivered).await
    }

    /// Acknowledges a message as [`ReceivedMessage::acked`] does, after that was dropped, after
    /// `delivered`, or for a message that an earlier process had.
    pub async fn acked(&mut self, id: &MessageId) -> Result<(), Error> {
        self.confirm(id, MessageStatus::Acked).await
    }

    async fn confirm(&mut self, id: &MessageId, status: MessageStatus) -> Result<(), Error> {
        let (done, sent) = oneshot::channel();
        let confirm = Command::Confirm { id: id.clone(), status, done };
        let taken = self.commands.send(confirm).is_ok();
        if taken && self.unconfirmed.as_ref() == Some(id) {
            self.unconfirmed = None;
        }
        // During an outage the confirmation is recorded now and sent later.
        if taken && (sent.await.is_ok() || !self.commands.is_closed()) {
            return Ok(());
        }
        Err(self.ending().await)
    }

    /// Waits until the coordinator has every confirmation, through outages too.
    /// Call it last before the program ends, with a time limit.
    ///
    /// # Errors
    /// The error that ended the inbox, as in [`Inbox::next`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        let (done, flushed) = oneshot::channel();
        let asked = self.commands.send(Command::Flush(done)).is_ok();
        if asked && flushed.await.is_ok() {
            return Ok(());
        }
        Err(self.ending().await)
    }

    /// The error that ended the task.
    async fn ending(&mut self) -> Error {
        let Some(task) = &mut self.task else {
            return Error::Ended;
        };
        let error = task.await.unwrap_or(Error::Ended);
        self.task = None;
        error
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A message that has to be confirmed before the next call of [`Inbox::next`].
#[derive(Debug)]
pub struct ReceivedMessage<'a> {
    inbox: &'a mut Inbox,
    message: Message,
}

impl ReceivedMessage<'_> {
    /// Confirms that this side has it, safe from a crash: the sender sees
    /// `delivered`.
    ///
    /// The confirmation is recorded as soon as the future runs. The future then waits
    /// until it was sent (when polling: answered), or until an outage prevents that; the
    /// inbox sends it again until the coordinator has it.
    ///
    /// # Errors
    /// The error that ended the inbox, as in [`Inbox::next`].
    pub async fn delivered(self) -> Result<(), Error> {
        self.inbox.delivered(&self.message.id).await
    }

    /// Acknowledges it: the sender sees `acked`. Otherwise as [`ReceivedMessage::delivered`].
    pub async fn acked(self) -> Result<(), Error> {
        self.inbox.acked(&self.message.id).await
    }
}

impl Deref for ReceivedMessage<'_> {
    type Target = Message;
    fn deref(&self) -> &Message {
        &self.message
    }
}
