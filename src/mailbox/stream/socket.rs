//! A stream's WebSocket: the attachment that outlives the object's sleep, and how this
//! side closes it.

use crate::mailbox::Refused;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::mailbox::Offer;
use multiclaude_hybrid_protocol::AgentId;
use serde::{Deserialize, Serialize};
use worker::WebSocket;
use worker::worker_sys::ext::WebSocketExt;

/// Why this side closes a stream: a close code (4000 plus the status that a request would
/// get) and a reason for programs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Replaced,
    Superseded,
    Gone,
    Unauthenticated,
    Unanswered,
    TooLarge,
}

impl Ending {
    /// The close code and the reason.
    pub(super) fn code(self) -> (u16, &'static str) {
        match self {
            Self::Replaced => (4409, "stream_replaced"),
            Self::Superseded => (4409, "agent_superseded"),
            Self::Gone => (4404, "agent_not_found"),
            Self::Unauthenticated => (4401, "unauthenticated"),
            Self::Unanswered => (4408, "unanswered"),
            // Of RFC 6455.
            Self::TooLarge => (1009, "frame_too_large"),
        }
    }
}

/// The state of a stream that outlives the object's sleep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Attachment {
    /// Later streams have higher numbers.
    pub(super) number: Ms,
    /// The incarnation it was opened for.
    pub(super) agent: AgentId,
    /// The token it was opened with, and when that ends.
    pub(super) token: String,
    pub(super) token_ends: Option<Ms>,
    /// When the token was last known to be valid.
    pub(super) checked_at: Ms,
    /// The offered message without an answer, with its id.
    pub(super) offer: Option<(Offer, String)>,
}

/// The current stream.
#[derive(Debug)]
pub struct Live {
    pub(super) socket: WebSocket,
    pub(super) attachment: Attachment,
}

impl Live {
    /// Keeps the attachment through sleep.
    pub(super) fn save(&self) -> Result<(), Refused> {
        let text = serde_json::to_string(&self.attachment)?;
        let socket: &worker::web_sys::WebSocket = self.socket.as_ref();
        socket.serialize_attachment(text.into()).map_err(worker::Error::from)?;
        Ok(())
    }
}

pub(super) fn attachment(socket: &WebSocket) -> Option<Attachment> {
    let socket: &worker::web_sys::WebSocket = socket.as_ref();
    let text = socket.deserialize_attachment().ok()?.as_string()?;
    serde_json::from_str(&text).ok()
}

pub(super) fn end(socket: &WebSocket, ending: Ending) {
    let (code, reason) = ending.code();
    // It may be closed already.
    let _ = socket.close(Some(code), Some(reason));
}
