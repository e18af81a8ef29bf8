//! An agent's messages as they come, over a WebSocket.
//!
//! The coordinator sends one message and waits for the answer before it sends
//! the next. A message that is not answered comes again, on this stream or
//! another one, under the same id.

use crate::{Error, RepoClient, refused};
use futures_util::{SinkExt, StreamExt};
use multiclaude_hybrid_protocol::error::Problem;
use multiclaude_hybrid_protocol::message::Message;
use multiclaude_hybrid_protocol::{AgentId, MessageId};
use reqwest::{StatusCode, Upgraded, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// What comes over a stream.
#[derive(Debug)]
pub enum Event {
    /// The oldest message that waits.
    Message(Box<Message>),
    /// The last answer was wrong, and why.
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
}

fn broken(error: tungstenite::Error) -> Error {
    Error::Stream(Box::new(error))
}

impl RepoClient {
    /// `GET …/agents/{name}/stream`, for the incarnation `agent` if one is
    /// given.
    ///
    /// The connection is made like every other one of this client, so that a
    /// refusal is read in full and the same TLS settings hold.
    pub async fn stream(&self, name: &str, agent: Option<&AgentId>) -> Result<Stream, Error> {
        let url = format!("{}{}/agents/{name}/stream", self.client.base, self.path);
        let key = generate_key();
        let mut request = self
            .client
            .http
            .get(url)
            .bearer_auth(&self.client.token)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        if let Some(agent) = agent {
            request = request.header("agent-id", agent.as_str());
        }
        let response = request.send().await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(status, response.text().await?));
        }
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| {
            accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()
        }) {
            return Err(Error::Unexpected {
                status: status.as_u16(),
                text: "the Sec-WebSocket-Accept header does not fit".to_owned(),
            });
        }
        let upgraded = response.upgrade().await?;
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        Ok(Stream { socket })
    }
}

impl Stream {
    /// Waits for what comes next.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let frame = match self.socket.next().await {
                None => return Ok(Event::Closed(1006, String::new())),
                Some(frame) => frame.map_err(broken)?,
            };
            match frame {
                Frame::Text(text) if text.as_str() == "pong" => return Ok(Event::Pong),
                Frame::Text(text) => return read(text.as_str()),
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

    /// Says that this side has a message: `delivered` or `acked`.
    pub async fn confirm(&mut self, id: &MessageId, status: &str) -> Result<(), Error> {
        let answer = serde_json::json!({ "id": id, "status": status });
        self.send(answer.to_string()).await
    }

    /// Sends `ping`; the coordinator answers without waking the mailbox.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send("ping".to_owned()).await
    }

    /// Sends any text.
    pub async fn send(&mut self, text: String) -> Result<(), Error> {
        self.socket.send(Frame::text(text)).await.map_err(broken)
    }

    /// Begins to close the stream; [`Event::Closed`] ends it.
    pub async fn begin_close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        self.socket.close(Some(frame)).await.map_err(broken)
    }

    /// Closes the stream.
    pub async fn close(mut self) -> Result<(), Error> {
        self.socket.close(None).await.map_err(broken)
    }
}

fn read(text: &str) -> Result<Event, Error> {
    if let Ok(message) = serde_json::from_str(text) {
        return Ok(Event::Message(message));
    }
    match serde_json::from_str(text) {
        Ok(problem) => Ok(Event::Refused(problem)),
        Err(_) => Err(Error::Unexpected {
            status: 101,
            text: text.to_owned(),
        }),
    }
}
