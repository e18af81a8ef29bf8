//! One open WebSocket with the messages of an agent.
//!
//! The coordinator sends one message and waits for the answer before it sends
//! the next. A message that is not answered comes again, on this stream or
//! another one, under the same id.

use crate::transport::{body, retry_after};
use crate::{Error, RepoClient};
use futures_util::{SinkExt, StreamExt};
use multiclaude_hybrid_protocol::error::Problem;
use multiclaude_hybrid_protocol::message::{Message, Report, StreamReport};
use multiclaude_hybrid_protocol::{AgentId, AgentName, MessageId};
use reqwest::{Method, StatusCode, Upgraded, header};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// How long the opening of a stream may take.
const OPENING: Duration = Duration::from_secs(15);

/// A frame of the coordinator's.
#[derive(Debug)]
pub enum Event {
    /// The oldest message that waits.
    Message(Box<Message>),
    /// The last answer was refused, for this reason.
    Refused(Box<Problem>),
    /// The answer to a ping.
    Pong,
    /// The coordinator closed the stream, with a code and a reason.
    Closed(u16, String),
}

/// An open stream of one agent.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocketStream<Upgraded>,
    base: String,
}

fn broken(error: tungstenite::Error) -> Error {
    Error::Stream(Box::new(error))
}

impl RepoClient {
    /// `GET …/agents/{name}/stream`, for the incarnation `agent` if one is
    /// given.
    ///
    /// The connection is made like every other one of this client: refusals are read in
    /// full, and the same TLS settings apply.
    pub async fn stream(&self, name: &AgentName, agent: Option<&AgentId>) -> Result<Stream, Error> {
        let base = self.client.base.as_str();
        let path = format!("{}/agents/{name}/stream", self.path);
        let key = generate_key();
        let mut request = self
            .client
            .request(Method::GET, &path)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        if let Some(agent) = agent {
            request = request.header("agent-id", agent.as_str());
        }
        let broken_off = |error: reqwest::Error| Error::transport(base, &error);
        let late = |_| Error::unanswered(base);
        let response = timeout(OPENING, request.send()).await.map_err(late)?.map_err(broken_off)?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let wait = retry_after(response.headers());
            let text = timeout(OPENING, body(response, base)).await.map_err(late)??;
            return Err(Error::refused(base, status, &text, wait));
        }
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| {
            accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()
        }) {
            let text = "the Sec-WebSocket-Accept header does not match";
            return Err(Error::unexpected(base, status, text, None));
        }
        let upgraded = response.upgrade().await.map_err(broken_off)?;
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        Ok(Stream { socket, base: base.to_owned() })
    }
}

impl Stream {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let frame = match self.socket.next().await {
                None => return Ok(Event::Closed(1006, String::new())),
                Some(frame) => frame.map_err(broken)?,
            };
            match frame {
                Frame::Text(text) if text.as_str() == "pong" => return Ok(Event::Pong),
                Frame::Text(text) => return self.read(text.as_str()),
                Frame::Close(frame) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.as_str().to_owned())
                    });
                    return Ok(Event::Closed(code, reason));
                }
                Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
            }
        }
    }

    /// Reports how far a message has come: a status, `delivered` or `acked`, or a
    /// [`Report`] that the agent itself has seen it.
    pub async fn confirm(
        &mut self,
        id: &MessageId,
        report: impl Into<Report>,
    ) -> Result<(), Error> {
        let answer = serde_json::json!(StreamReport { id: id.clone(), report: report.into() });
        self.send(answer.to_string()).await
    }

    /// Sends `ping`. The coordinator answers without waking the mailbox.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send("ping".to_owned()).await
    }

    /// Sends a text frame as it is.
    pub async fn send(&mut self, text: String) -> Result<(), Error> {
        self.socket.send(Frame::text(text)).await.map_err(broken)
    }

    /// Begins to close the stream. [`Event::Closed`] is its last event.
    pub async fn begin_close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.socket.close(Some(frame)).await.map_err(broken)
    }

    fn read(&self, text: &str) -> Result<Event, Error> {
        if let Ok(message) = serde_json::from_str(text) {
            return Ok(Event::Message(message));
        }
        serde_json::from_str(text)
            .map(Event::Refused)
            .map_err(|_| Error::unexpected(&self.base, StatusCode::SWITCHING_PROTOCOLS, text, None))
    }
}
