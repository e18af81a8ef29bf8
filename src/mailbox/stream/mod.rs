//! The stream: one client's WebSocket on the hibernating API.
//!
//! The runtime keeps the connection while the object sleeps, and answers pings, so an idle
//! stream costs nothing. The socket's attachment outlives sleep: it has the incarnation,
//! the token and the offered message. Core decides when to offer.

mod socket;

pub use socket::Live;

use super::Refused;
use super::command::OpenStream;
use super::object::MailboxObject;
use crate::error::ApiError;
use crate::store::{Db, tokens};
use crate::{clock, log, random};
use multiclaude_hybrid_core::mailbox::{Event, Kind, Offer, Offering};
use multiclaude_hybrid_protocol::body::Body;
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::message::StreamReport;
use socket::{Attachment, Ending, attachment, end};
use std::rc::Rc;
use worker::worker_sys::WebSocketRequestResponsePair;
use worker::{Response, WebSocket, WebSocketPair};

/// Bytes of a client's frame; an answer has about a hundred.
const FRAME_MAX: usize = 1024;
/// `WebSocket.OPEN`.
const OPEN: u16 = 1;

impl MailboxObject {
    /// Opens a stream for the current incarnation; it replaces an older one.
    pub(super) fn open_stream(self: &Rc<Self>, client: OpenStream) -> Result<Response, Refused> {
        self.check_reader(&client.caller, client.agent_id.as_ref())?;
        let agent = self.agent_id()?;
        let agent = agent.ok_or(Refused::AgentNotFound)?;
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        let ping =
            WebSocketRequestResponsePair::new("ping", "pong").map_err(worker::Error::from)?;
        self.state.set_websocket_auto_response(&ping);
        let now = clock::now();
        let before = self.live.take();
        let live = Live {
            attachment: Attachment {
                number: before.as_ref().map_or(now, |before| now.max(before.attachment.number + 1)),
                agent,
                token: client.token_id,
                token_ends: client.token_ends,
                checked_at: now,
                offer: None,
            },
            socket: pair.server,
        };
        live.save()?;
        if let Some(before) = before {
            end(&before.socket, Ending::Replaced);
        }
        self.live.replace(Some(live));
        self.with(|core| core.open_stream(None))?;
        self.note_presence(&client.caller)?;
        log::worked(&self.name, "stream_opened", 0);
        self.changed(Event::Changed)?;
        Ok(Response::from_websocket(pair.client)?)
    }

    /// After sleep: finds the newest of the connections that the runtime has kept.
    pub(super) fn find_stream(&self) -> Result<(), Refused> {
        let current = self.agent_id()?;
        let mut newest: Option<Live> = None;
        for socket in self.state.get_websockets() {
            let state = AsRef::<worker::web_sys::WebSocket>::as_ref(&socket).ready_state();
            let Some(attachment) = attachment(&socket).filter(|_| state == OPEN) else {
                continue;
            };
            if current.as_ref() != Some(&attachment.agent) {
                end(&socket, Ending::Superseded);
            } else if newest.as_ref().is_none_or(|live| live.attachment.number < attachment.number)
            {
                let older = newest.replace(Live { socket, attachment });
                if let Some(older) = older {
                    end(&older.socket, Ending::Replaced);
                }
            } else {
                end(&socket, Ending::Replaced);
            }
        }
        if let Some(live) = newest {
            let offer = live.attachment.offer.as_ref().map(|(offer, _)| *offer);
            self.with(|core| core.open_stream(offer))?;
            self.live.replace(Some(live));
            log::worked(&self.name, "stream_found", 0);
        }
        Ok(())
    }

    /// After a configuration: ends the stream of an earlier incarnation.
    pub(super) fn end_foreign_stream(&self) -> Result<(), Refused> {
        let current = self.agent_id()?;
        let is_foreign = |live: &Live| current.as_ref() != Some(&live.attachment.agent);
        if !self.live.borrow().as_ref().is_some_and(is_foreign) {
            return Ok(());
        }
        self.end_stream(if current.is_some() { Ending::Superseded } else { Ending::Gone })
    }

    fn end_stream(&self, ending: Ending) -> Result<(), Refused> {
        if let Some(live) = self.live.take() {
            end(&live.socket, ending);
            log::worked(&self.name, ending.code().1, 0);
        }
        self.with(|core| core.close_stream())
    }

    /// Offers the next message, if the stream's token is still valid.
    pub(super) async fn offer(&self) -> Result<(), Refused> {
        if !self.token_holds().await? {
            return self.end_stream(Ending::Unauthenticated);
        }
        // The check may have taken time, so core decides again.
        let Some((next, writes)) = self.with(|core| core.begin_offer(clock::now()))? else {
            return Ok(());
        };
        self.apply_writes(writes)?;
        match next {
            Offering::HangUp => self.end_stream(Ending::Unanswered),
            Offering::Send(offer) => self.send_offer(offer),
        }
    }

    fn send_offer(&self, offer: Offer) -> Result<(), Refused> {
        let fresh = self.fresh.take().filter(|fresh| fresh.seq == offer.seq);
        let outgoing = self.outgoing(offer.seq, Kind::Agent, 0, fresh)?;
        let (id, message) = outgoing.ok_or(Refused::MessageNotFound)?;
        let mut live = self.live.borrow_mut();
        let sent = live.as_mut().is_some_and(|live| {
            live.attachment.offer = Some((offer, id));
            live.save().is_ok() && live.socket.send_with_str(message).is_ok()
        });
        if !sent {
            live.take();
            self.with(|core| core.close_stream())?;
        }
        Ok(())
    }

    /// Is the token that opened the stream still valid? D1 is asked once per `stream_check`,
    /// before a message is offered or a frame is read. While D1 does not answer, no token
    /// can be revoked either, so it counts as valid.
    async fn token_holds(&self) -> Result<bool, Refused> {
        let now = clock::now();
        let check_every = self.settings()?.timing.stream_check;
        let due = match self.live.borrow().as_ref() {
            Some(Live { attachment, .. }) if attachment.token_ends.is_some_and(|at| at <= now) => {
                return Ok(false);
            }
            Some(Live { attachment, .. }) if attachment.checked_at + check_every <= now => {
                (attachment.number, attachment.token.clone())
            }
            _ => return Ok(true),
        };
        let (number, token) = due;
        let holds = async { tokens::exists(&Db::new(&self.env)?, &token).await }.await;
        let mut live = self.live.borrow_mut();
        let Some(live) = live.as_mut().filter(|live| live.attachment.number == number) else {
            // Another stream has replaced it.
            return Ok(true);
        };
        match holds {
            Ok(holds) => {
                live.attachment.checked_at = now;
                Ok(holds)
            }
            Err(error) => {
                log::fault("stream_check", &format!("{}: {error}", self.name));
                Ok(true)
            }
        }
    }

    /// Handles a frame from a client.
    pub(super) async fn frame(
        self: &Rc<Self>,
        socket: &WebSocket,
        text: Option<&str>,
    ) -> Result<(), Refused> {
        self.load()?;
        let Some(text) = text.filter(|text| text.len() <= FRAME_MAX) else {
            end(socket, Ending::TooLarge);
            return self.stream_closed(socket);
        };
        if self.is_live(socket) && !self.token_holds().await? {
            self.end_stream(Ending::Unauthenticated)?;
            return self.changed(Event::Changed);
        }
        if !self.is_live(socket) {
            end(socket, Ending::Replaced);
            return Ok(());
        }
        self.with(|core| core.note_presence(clock::now()))?;
        if let Err(error) = self.take_report(text) {
            // A client that has left needs no answer.
            let _ = socket.send_with_str(error.into_problem(&random::request_id())?);
        }
        self.flush_soon();
        self.changed(Event::Changed)
    }

    /// Is this the connection of the current stream?
    fn is_live(&self, socket: &WebSocket) -> bool {
        let mine = attachment(socket).map(|attachment| attachment.number);
        let live = self.live.borrow();
        mine.is_some() && mine == live.as_ref().map(|live| live.attachment.number)
    }

    /// Applies `{"id", "status", "seen"}`, a report on a message.
    fn take_report(&self, text: &str) -> Result<(), ApiError> {
        let StreamReport { id, report } = Body::read(text.as_bytes())?;
        if *id.agent() != self.address()?.1 {
            let fault = FieldError::new("id", "must be the id of a message to this agent");
            return Err(ApiError::fields(vec![fault]));
        }
        let offered = self.live.borrow_mut().as_mut().and_then(|live| {
            let known = live.attachment.offer.take_if(|(_, known)| *known == id.to_string());
            known.map(|(offer, _)| offer.seq)
        });
        let now = clock::now();
        let confirmed = match offered {
            Some(seq) => self.with(|core| core.confirm(seq, report, now))?,
            None => false,
        };
        if !confirmed {
            let generation =
                self.with(|core| core.current().map(|open| open.version.generation))?;
            let generation = generation.ok_or(Refused::AgentNotFound)?;
            self.advance(generation, id.seq(), &id.uuid_hex(), report)?;
        }
        Ok(())
    }

    /// Handles the end of a connection.
    pub(super) fn stream_closed(self: &Rc<Self>, socket: &WebSocket) -> Result<(), Refused> {
        self.load()?;
        if self.is_live(socket) {
            self.live.take();
            // It was open until now.
            self.with(|core| {
                core.note_presence(clock::now());
                core.close_stream();
            })?;
            log::worked(&self.name, "stream_closed", 0);
        }
        self.changed(Event::Changed)
    }
}
