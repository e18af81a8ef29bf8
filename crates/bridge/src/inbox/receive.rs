//! Receives one agent's messages by stream, or by long polls where a stream
//! cannot be had.

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

/// The wait before a message that could not be stored is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// The wait before a stream that somebody else has replaced is opened again.
const TAKEN_AGAIN: Duration = Duration::from_secs(30);

/// What is received, and where it goes.
#[derive(Debug, Clone)]
pub struct Receiving {
    /// The coordinator.
    pub connection: Arc<Connection>,
    /// Where messages go.
    pub inbox: Arc<Inbox>,
    /// The agent's local name.
    pub local: String,
    /// Its registered name.
    pub name: AgentName,
    /// Its incarnation.
    pub id: AgentId,
    /// By long polls, even where a stream could be had.
    pub polling: bool,
    /// Woken when the coordinator does not know the incarnation any more.
    pub superseded: Arc<Notify>,
}

/// A running reception; it ends when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    task: JoinHandle<()>,
    /// The incarnation that it is for.
    pub id: AgentId,
}

impl Receiver {
    /// Begins.
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
                warn!(local = self.local, name = %self.name, %error, "not this machine's any more");
                self.superseded.notify_one();
                return;
            }
            if let Error::Closed { code: 4409, .. } = error {
                warn!(
                    local = self.local, name = %self.name,
                    "another program receives the messages of this agent; end it, or they come to it"
                );
                sleep(TAKEN_AGAIN).await;
                continue;
            }
            self.connection.lost(&error);
        }
    }

    /// Stores and places a message; whether that succeeded.
    async fn store(&self, stored: Stored) -> bool {
        let (inbox, local) = (Arc::clone(&self.inbox), self.local.clone());
        let stored = tokio::task::spawn_blocking(move || inbox.accept(&local, &stored)).await;
        matches!(stored, Ok(Ok(())))
    }

    async fn receive(&self) -> Error {
        let connection = Arc::clone(&self.connection);
        let options =
            InboxOptions::default().agent(self.id.clone()).on_change(move |change| match change {
                Change::Away(error) => connection.lost(error),
                Change::Back(_) => connection.reached(),
                _ => {}
            });
        let options = if self.polling { options.polling() } else { options };
        let mut inbox = self.connection.repo.inbox(&self.name, options);
        loop {
            let letter = match inbox.next().await {
                Ok(letter) => letter,
                Err(error) => return error,
            };
            let stored = Stored::Message {
                message: Box::new(letter.message().clone()),
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
