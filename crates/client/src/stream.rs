//! An agent's messages as they come, over a WebSocket.
//!
//! The coordinator sends one message and waits for the answer before it sends
//! the next. A message that is not answered comes again, on this stream or
//! another one, under the same id.

use crate::{Error, RepoClient};
use futures_util::{SinkExt, StreamExt};
use multiclaude_hybrid_protocol::error::Problem;
use multiclaude_hybrid_protocol::message::Message;
use multiclaude_hybrid_protocol::{AgentId, MessageId};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

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
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

fn broken(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let status = response.status().as_u16();
            let text = response
                .into_body()
                .map(|body| String::from_utf8_lossy(&body).into_owned())
                .unwrap_or_default();
            match serde_json::from_str(&text) {
                Ok(problem) => Error::Refused(problem),
                Err(_) => Error::Unexpected { status, text },
            }
        }
        other => Error::Stream(Box::new(other)),
    }
}

impl RepoClient {
    /// `GET …/agents/{name}/stream`, for the incarnation `agent` if one is
    /// given.
    pub async fn stream(&self, name: &str, agent: Option<&AgentId>) -> Result<Stream, Error> {
        let base = self.client.base.replacen("http", "ws", 1);
        let url = format!("{base}{}/agents/{name}/stream", self.path);
        let mut request = url.into_client_request().map_err(broken)?;
        let headers = request.headers_mut();
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.client.token));
        let mut bearer = bearer.map_err(|error| broken(error.into()))?;
        bearer.set_sensitive(true);
        headers.insert("authorization", bearer);
        if let Some(agent) = agent {
            let id = HeaderValue::try_from(agent.as_str()).map_err(|error| broken(error.into()))?;
            headers.insert("agent-id", id);
        }
        let (socket, _) = connect_async(request).await.map_err(broken)?;
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

    /// Closes the stream.
    pub async fn close(mut self) -> Result<(), Error> {
        let frame = None::<CloseFrame>;
        self.socket.close(frame).await.map_err(broken)
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
