//! Messages are stored, and move forward by reports about them.

use super::draft::{Accepted, Draft};
use super::queue::Pending;
use super::refused::Refused;
use super::standing::{Standing, transition};
use super::state::Mailbox;
use super::write::{Advance, Insert, Remember, Write};
use crate::Ms;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus, Report, TTL_MAX_SECS};
use multiclaude_hybrid_protocol::{MessageId, Timestamp};

/// Pending messages that one mailbox may have.
pub const CAPACITY: usize = 10_000;

impl Mailbox {
    /// Decides whether a message is stored, and returns the writes that store it. `render` makes
    /// its [`Insert::head`] once the id is known.
    pub fn accept(
        &mut self,
        draft: Draft,
        now: Ms,
        render: impl FnOnce(&Accepted) -> String,
    ) -> Result<(Accepted, Vec<Write>), Refused> {
        let generation = self.current().ok_or(Refused::AgentNotFound)?.version.generation;
        if self.pending.len() >= CAPACITY && !draft.is_notice {
            return Err(Refused::MailboxFull);
        }
        let (last_ms, last_seq) = self.last.unwrap_or((0, 0));
        let (ms, seq) = (now.max(last_ms), last_seq + 1);
        let ttl = draft.ttl_secs.unwrap_or(TTL_MAX_SECS).saturating_mul(self.timing.second);
        let accepted = Accepted {
            id: MessageId::new(Timestamp(ms), seq, draft.random, draft.agent),
            expires_at: ms + ttl,
        };
        let mut writes = Vec::with_capacity(2);
        let key = draft.key.as_ref().map(|key| key.scope.clone());
        if let Some(key) = draft.key {
            let expires_at = now + self.timing.keep_keys;
            self.note_purge(expires_at);
            writes.push(Write::RememberKey(Remember { key, seq, expires_at }));
        }
        writes.push(Write::Insert(Box::new(Insert {
            seq,
            uuid: accepted.id.uuid_hex(),
            generation,
            expires_at: accepted.expires_at,
            sender: draft.sender,
            sender_owner: draft.sender_owner,
            key,
            push_id: draft.push_id,
            head: render(&accepted),
        })));
        self.last = Some((ms, seq));
        self.pending.push(seq, Pending { expires_at: accepted.expires_at, attempts: 0 });
        Ok((accepted, writes))
    }

    /// Applies a report by the recipient's side about the message at `seq`, which is at
    /// `current`. `Ok(None)`: nothing changes.
    pub fn report(
        &mut self,
        seq: u64,
        current: Standing,
        report: Report,
        now: Ms,
    ) -> Result<Option<Write>, Refused> {
        let next = transition(current, report).map_err(|current| {
            let current = current.as_str().to_owned();
            Refused::InvalidTransition { current }
        })?;
        let Some(next) = next else { return Ok(None) };
        self.drop_orphan(seq);
        let attempts = self.pending.remove(seq).map(|pending| pending.attempts);
        Ok(Some(Write::Advance(self.advance(seq, next, None, attempts, now))))
    }

    pub(super) fn advance(
        &mut self,
        seq: u64,
        next: Standing,
        reason: Option<FailureReason>,
        attempts: Option<u32>,
        now: Ms,
    ) -> Advance {
        let keep = match next.status {
            MessageStatus::Acked => self.timing.keep_acked,
            _ => self.timing.keep_ended,
        };
        let purge_at = now + keep;
        self.note_purge(purge_at);
        let Standing { status, seen } = next;
        Advance { seq, status, seen, reason, at: now, attempts, purge_at }
    }
}
