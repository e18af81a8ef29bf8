//! The stream: a client's open WebSocket takes the place of pushes. Like a push, one
//! message is in transit at most, always the oldest pending one; unlike a push, only the
//! client's answer ends it.
//!
//! An offer outlives the object's memory, in the attachment of its socket. An object
//! that died has lost its sockets, too, and offers again under the same id.

use super::standing::{Standing, transition};
use super::state::Mailbox;
use super::transit::{Offer, Stream};
use super::write::Write;
use crate::Ms;
use multiclaude_hybrid_protocol::message::Report;

/// Offers of one message in a row that may stay unanswered if the agent has no endpoint.
/// After the last, the connection counts as half-open and is closed.
const OFFERS_MAX: u32 = 3;
/// The same if it has an endpoint, which takes over.
const OFFERS_MAX_BESIDE_ENDPOINT: u32 = 1;

/// The error that a receipt shows after an offer without an answer.
const UNANSWERED: &str = "stream_unanswered";

/// The stream's next action.
#[derive(Debug, PartialEq)]
pub enum Offering {
    /// Send this message.
    Send(Offer),
    /// The client does not answer: close the connection.
    HangUp,
}

impl Mailbox {
    /// A client has opened a stream, or an object that slept has found it again with its
    /// offer. An earlier stream is replaced.
    pub fn open_stream(&mut self, offer: Option<Offer>) {
        self.stream = Some(Stream { offer });
    }

    /// The stream has ended. An offered message without an answer stays pending, for the
    /// next stream, a push or a poll.
    pub fn close_stream(&mut self) {
        self.stream = None;
    }

    /// The offer that the client has not answered yet.
    fn unanswered_offer(&self) -> Option<Offer> {
        let offer = self.stream.as_ref()?.offer?;
        self.pending.contains(offer.seq).then_some(offer)
    }

    /// A message that must not fail now: the client may be about to report it.
    pub(super) fn offered(&self, now: Ms) -> Option<u64> {
        let offer = self.unanswered_offer().filter(|offer| now < offer.until);
        offer.map(|offer| offer.seq)
    }

    /// Can a message be offered, or a silent client be noticed, now?
    pub fn can_offer(&self, now: Ms) -> bool {
        self.offerable(now).is_some()
    }

    /// The message to offer, and how often it was offered already.
    fn offerable(&self, now: Ms) -> Option<(u64, u32)> {
        self.stream.as_ref().filter(|_| self.in_flight.is_none())?;
        self.current()?;
        if let Some(offer) = self.unanswered_offer() {
            return (offer.until <= now).then_some((offer.seq, offer.tries));
        }
        let (seq, first) = self.pending.first()?;
        (first.expires_at > now).then_some((seq, 0))
    }

    /// Begins the next offer, if it is time for one; the writes note that the last one
    /// was not answered.
    pub fn begin_offer(&mut self, now: Ms) -> Option<(Offering, Vec<Write>)> {
        let (seq, tries) = self.offerable(now)?;
        let mut writes = Vec::new();
        if tries > 0
            && let Some(attempts) = self.pending.count_attempt(seq)
        {
            writes.push(Write::Attempt { seq, attempts, error: UNANSWERED.to_owned() });
        }
        if tries >= self.offers_max() {
            self.stream = None;
            return Some((Offering::HangUp, writes));
        }
        let offer = Offer { seq, until: now + self.timing.stream_answer, tries: tries + 1 };
        self.stream = Some(Stream { offer: Some(offer) });
        Some((Offering::Send(offer), writes))
    }

    fn offers_max(&self) -> u32 {
        let endpoint = self.current().and_then(|config| config.endpoint.as_ref());
        match endpoint.filter(|endpoint| !endpoint.gone) {
            Some(_) => OFFERS_MAX_BESIDE_ENDPOINT,
            None => OFFERS_MAX,
        }
    }

    /// The client reports on the offered message. As with a push, the mark is written
    /// later, see [`Mailbox::take_marks`]. `false`: the message is not pending, or the
    /// report leaves it pending.
    pub fn confirm(&mut self, seq: u64, report: Report, now: Ms) -> bool {
        let Ok(Some(next)) = transition(Standing::PENDING, report) else {
            return false;
        };
        let Some(pending) = self.pending.remove(seq) else {
            return false;
        };
        let mark = self.advance(seq, next, None, Some(pending.attempts + 1), now);
        self.marks.push(mark);
        true
    }

    /// When the stream needs the object awake: when the offer is to be repeated, or, if a
    /// message is offered now, a little later.
    pub(super) fn stream_guard(&self, now: Ms) -> Option<Ms> {
        self.pending.first_seq()?;
        let until = self.unanswered_offer().map(|offer| offer.until);
        Some(until.unwrap_or(now + self.timing.push_guard))
    }
}
