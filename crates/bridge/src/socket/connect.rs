//! The MCP server's end of the socket. It connects again after a restart of the bridge.

use super::{FromAgent, ToAgent, read, write};
use crate::lock::locked;
use crate::unix;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// The wait between two attempts to connect.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a call waits for a bridge that is being restarted.
const AWAY: Duration = Duration::from_secs(3);
/// How long a tool call may take.
const CALL: Duration = Duration::from_mins(2);

/// Posts texts into the session of this process.
pub type Poster =
    dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// The agent that this process acts for, according to the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connected {
    /// Not known yet: the bridge has not answered.
    Not,
    /// It acts for this agent.
    As {
        /// The agent's local name.
        local: String,
        /// The agent's registered name.
        name: Option<String>,
        /// `owner/repo`.
        repo: String,
    },
    /// It acts for no agent, for this reason.
    Refused(String),
}

/// The client of the bridge in an agent's MCP server.
#[derive(Debug)]
pub struct BridgeClient {
    socket: PathBuf,
    state: tokio::sync::watch::Sender<Connected>,
    calls: Mutex<BTreeMap<u64, oneshot::Sender<Result<Value, String>>>>,
    last: AtomicU64,
    can_post: bool,
    to_send: mpsc::Sender<FromAgent>,
}

impl BridgeClient {
    /// A client that [`BridgeClient::run`] connects.
    pub fn new(socket: PathBuf, can_post: bool) -> (Arc<Self>, mpsc::Receiver<FromAgent>) {
        let (to_send, sending) = mpsc::channel(16);
        let client = Self {
            socket,
            state: tokio::sync::watch::Sender::new(Connected::Not),
            calls: Mutex::default(),
            last: AtomicU64::default(),
            can_post,
            to_send,
        };
        (Arc::new(client), sending)
    }

    /// The agent that this process acts for.
    pub fn connected(&self) -> tokio::sync::watch::Receiver<Connected> {
        self.state.subscribe()
    }

    /// Stays connected until the bridge refuses this process; returns the reason.
    pub async fn run(&self, mut sending: mpsc::Receiver<FromAgent>, poster: &Poster) -> String {
        loop {
            if let Ok(Some(reason)) = self.connection(&mut sending, poster).await {
                return reason;
            }
            self.state.send_replace(Connected::Not);
            // Their answers never arrive.
            locked(&self.calls).clear();
            sleep(AGAIN).await;
        }
    }

    async fn connection(
        &self,
        sending: &mut mpsc::Receiver<FromAgent>,
        poster: &Poster,
    ) -> io::Result<Option<String>> {
        let (from, mut to) = unix::connect(&self.socket).await?.into_split();
        let mut from = BufReader::new(from);
        match greet(&mut from, &mut to, self.can_post).await? {
            Some(ToAgent::Welcome { local, name, repo }) => {
                self.state.send_replace(Connected::As { local, name, repo });
            }
            Some(ToAgent::Refused { reason }) => {
                self.state.send_replace(Connected::Refused(reason.clone()));
                return Ok(Some(reason));
            }
            _ => return Ok(None),
        }
        // Drop the rest of an earlier connection.
        while sending.try_recv().is_ok() {}
        let writing = async {
            while let Some(item) = sending.recv().await {
                write(&mut to, &item).await?;
            }
            Ok(())
        };
        let reading = async {
            while let Some(item) = read(&mut from).await? {
                match item {
                    ToAgent::Answer { n, result } => {
                        if let Some(call) = locked(&self.calls).remove(&n) {
                            let _ = call.send(result);
                        }
                    }
                    ToAgent::Post { n, text } => {
                        let error = poster(text).await.err();
                        let _ = self.to_send.send(FromAgent::Posted { n, error }).await;
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        let ended: io::Result<()> = tokio::select! {
            done = writing => done,
            done = reading => done,
        };
        ended.map(|()| None)
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// The reason why it failed, and advice.
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Value, String> {
        let mut state = self.connected();
        let here = state.wait_for(|state| matches!(state, Connected::As { .. }));
        let here = timeout(AWAY, here).await.is_ok_and(|here| here.is_ok());
        if !here {
            return Err("the bridge does not answer on this machine, so nothing was done. Try again in a minute. Your \
                 developer sees why with: multiclaude-hybrid bridge status; and starts it with: multiclaude-hybrid \
                 bridge run (for a worker of a runner: runner status, runner run)"
                .to_owned());
        }
        let n = self.last.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        locked(&self.calls).insert(n, answer);
        let call = FromAgent::Call { n, tool: tool.to_owned(), arguments };
        let lost = "the bridge ended before it answered: it is not known whether this was done";
        if self.to_send.send(call).await.is_err() {
            return Err(lost.to_owned());
        }
        match timeout(CALL, answered).await {
            Ok(Ok(result)) => result,
            _ => Err(lost.to_owned()),
        }
    }
}

/// Introduces this process; the answer of the other end. It may refuse the process, and
/// close, before it reads the hello: the write fails then, and the reason is there.
async fn greet(
    from: &mut (impl AsyncBufRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    can_post: bool,
) -> io::Result<Option<ToAgent>> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let _ = write(to, &FromAgent::Hello { version, agent: None, can_post }).await;
    read(from).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{duplex, split};

    #[tokio::test]
    async fn a_process_that_is_refused_before_its_hello_gets_the_reason() {
        let (here, mut there) = duplex(1024);
        let refusal = ToAgent::Refused { reason: "not of this worker".to_owned() };
        write(&mut there, &refusal).await.unwrap();
        drop(there);
        let (from, mut to) = split(here);
        let answer = greet(&mut BufReader::new(from), &mut to, true).await.unwrap();
        let Some(ToAgent::Refused { reason }) = answer else { panic!("no refusal") };
        assert_eq!(reason, "not of this worker");
    }
}
