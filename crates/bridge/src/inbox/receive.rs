//! Receives one agent's messages by stream, or by long polls if streams do not work.

use super::{Inbox, Stored};
use crate::connection::Connection;
use multiclaude_hybrid_client::protocol::{AgentId, AgentName, ErrorCode};
use multiclaude_hybrid_client::{Connection as Change, Error, InboxOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;

/// The wait before a message is stored again after a failure.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// The wait before a stream is opened again that another program has replaced.
const TAKEN_AGAIN: Duration = Duration::from_secs(30);

/// An agent to receive for, and the inbox for its messages.
#[derive(Debug, Clone)]
pub struct Receiving {
    /// The connection to the coordinator.
    pub connection: Arc<Connection>,
    /// The inbox for the messages.
    pub inbox: Arc<Inbox>,
    /// The agent's local name.
    pub local: String,
    /// The agent's registered name.
    pub name: AgentName,
    /// The agent's incarnation.
    pub id: AgentId,
    /// Never use a stream?
    pub polling: bool,
    /// Notified when the coordinator does not know the incarnation any more.
    pub superseded: Arc<Notify>,
}

/// A task that receives messages; it ends when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    task: JoinHandle<()>,
    /// The incarnation that it receives for.
    pub id: AgentId,
}

impl Receiver {
    /// Starts to receive.
    pub fn start(receiving: Receiving) -> Self {
        let id = receiving.id.clone();
        Self { task: tokio::spawn(receiving.run()), id }
    }

    /// Has it ended, because the coordinator does not know the agent?
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiving {
    async fn run(self) {
        loop {
            self.connection.online().await;
            let error = self.receive().await;
            let gone = matches!(
                error.code(),
                Some(ErrorCode::AgentSuperseded | ErrorCode::AgentNotFound | ErrorCode::Forbidden)
            );
            if gone {
                warn!(local = self.local, name = %self.name, %error, "the agent no longer belongs to this machine");
                self.superseded.notify_one();
                return;
            }
            if let Error::Closed { code: 4409, .. } = error {
                warn!(
                    local = self.local, name = %self.name,
                    "another program receives the messages of this agent; stop that program to get them here"
                );
                sleep(TAKEN_AGAIN).await;
                continue;
            }
            self.connection.mark_away(&error);
        }
    }

    /// Stores and places a message; returns whether that succeeded.
    async fn store(&self, stored: Stored) -> bool {
        let (inbox, local) = (Arc::clone(&self.inbox), self.local.clone());
        let stored = tokio::task::spawn_blocking(move || inbox.accept(&local, &stored)).await;
        matches!(stored, Ok(Ok(())))
    }

    async fn receive(&self) -> Error {
        let connection = Arc::clone(&self.connection);
        let agent = Some(self.id.clone());
        let options = InboxOptions { agent, polling: self.polling, ..InboxOptions::default() };
        let options = options.on_change(move |change| match change {
            Change::Away(error) => connection.mark_away(error),
            Change::Back(_) => connection.mark_online(),
            _ => {}
        });
        let mut inbox = self.connection.repo.inbox(&self.name, options);
        loop {
            let letter = match inbox.next().await {
                Ok(letter) => letter,
                Err(error) => return error,
            };
            let stored = Stored::Message {
                message: Box::new((*letter).clone()),
                agent: Some(self.id.clone()),
            };
            while !self.store(stored.clone()).await {
                sleep(STORE_AGAIN).await;
            }
            if let Err(error) = letter.delivered().await {
                return error;
            }
        }
    }
}
