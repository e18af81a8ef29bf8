//! The commands of senders and recipients.

use super::command::{Answer, HeldAnswer, List, Refused, Send, WaitingCount};
use super::object::Inner;
use super::sql::{self, fresh_message};
use crate::{clock, random};
use futures_util::future::select;
use multiclaude_hybrid_core::access::Principal;
use multiclaude_hybrid_core::mailbox::{
    self, Dedup, Draft, Key, Refusal, SenderRef, Standing, Write,
};
use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
use multiclaude_hybrid_protocol::{AgentId, Timestamp};
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::AgentNotFound,
            Refusal::Full => Self::MailboxFull,
        }
    }
}

impl Inner {
    /// Stores a message. `fields` is the part of its wire form that the
    /// sender decides, without braces.
    pub(super) fn send(&self, send: Send, fields: &str) -> Result<Answer, Refused> {
        let (_, agent) = self.address()?;
        self.check_notice(send.notice_for.as_ref())?;
        self.flush()?;
        if let Some(known) = self.repeated(&send, fields)? {
            return Ok(Answer::ok(known));
        }
        let owner = send.sender.as_ref().map(|sender| sender.owner.as_str().to_owned());
        let draft = Draft {
            agent,
            ttl_secs: send.ttl_secs,
            sender: send.sender.map(|sender| SenderRef { name: sender.name, id: sender.id }),
            key: send.key.map(|(scope, content)| Key { scope, content }),
            random: u32::from_le_bytes(random::bytes()?),
            is_notice: send.notice_for.is_some(),
        };
        let now = clock::now();
        let mut head = String::new();
        let (accepted, writes) = self.with(|core| {
            core.accept(draft, now, |accepted| {
                let created = accepted.id.time();
                let expires = Timestamp(accepted.expires_at);
                head = if self.is_for_spawns() {
                    format!("{{{fields}")
                } else {
                    format!(
                    "{{\"id\":\"{}\",{fields},\"created_at\":\"{created}\",\"expires_at\":\"{expires}\"",
                    accepted.id
                )};
                head.clone()
            })
        })??;
        self.execute_from(writes, owner.as_deref())?;
        self.busy.set(true);
        let body = fresh_message(&head, 0);
        self.fresh.replace(Some((accepted.id.seq(), head)));
        Ok(Answer { status: 201, body, next: None })
    }

    /// A notice is for one incarnation; a later one gets none of it.
    fn check_notice(&self, wanted: Option<&AgentId>) -> Result<(), Refused> {
        let Some(wanted) = wanted else { return Ok(()) };
        let current = self.with(|core| core.open().map(|config| config.agent_id.clone()))?;
        match current {
            Some(id) if id == *wanted => Ok(()),
            Some(_) => Err(Refused::Superseded),
            None => Err(Refused::AgentNotFound),
        }
    }

    /// The first message under this key, if it was used before.
    fn repeated(&self, send: &Send, fields: &str) -> Result<Option<String>, Refused> {
        let open = self.with(|core| core.open().is_some())?;
        let Some((scope, content)) = send.key.as_ref().filter(|_| open) else {
            return Ok(None);
        };
        let Some(key) = self.sql.key(scope, clock::now())? else {
            return Ok(None);
        };
        let outcome = key.outcome.map(|outcome| sql::remembered_message(&outcome, fields));
        let message = key.message.or(outcome);
        match mailbox::dedup(Some((&key.content, message.is_some())), content) {
            Dedup::New => Ok(None),
            Dedup::Same => Ok(message),
            Dedup::Mismatch => Err(Refused::IdempotencyMismatch),
        }
    }

    /// Refuses unless the incarnation is the current one and `caller` may
    /// read and acknowledge for it. Answers its generation.
    pub(super) fn check_reader(
        &self,
        caller: &Principal,
        agent_id: Option<&AgentId>,
    ) -> Result<u32, Refused> {
        self.with(|core| {
            let never = core.config().is_none();
            let Some(config) = core.open() else {
                let superseded = agent_id.is_some() && !never;
                return Err(if superseded { Refused::Superseded } else { Refused::AgentNotFound });
            };
            if agent_id.is_some_and(|id| *id != config.agent_id) {
                return Err(Refused::Superseded);
            }
            if !caller.acts_for(&config.owner) {
                return Err(Refused::NotYours);
            }
            Ok(config.version.generation)
        })?
    }

    /// Lists messages; holds an empty answer for as long as the caller waits.
    pub(super) async fn list(self: &Rc<Self>, list: List) -> Result<Answer, Refused> {
        let deadline = clock::now() + list.wait_ms as i64;
        let began = self.check_reader(&list.caller, list.agent_id.as_ref())?;
        self.note_sign(&list.caller)?;
        self.follow_up(false)?;
        loop {
            let generation = self.check_reader(&list.caller, list.agent_id.as_ref())?;
            // A held list belongs to the incarnation that it began with.
            if generation != began {
                return Err(Refused::Superseded);
            }
            self.flush()?;
            // Nothing waits before the oldest waiting message: of what is kept
            // besides, no row is read.
            let first = match list.status {
                Some(MessageStatus::Pending) => self.with(|core| core.pending_from())?,
                _ => 1,
            };
            let after = list.after.max(first.saturating_sub(1));
            let page = self.sql.page(generation, list.status, after, list.limit)?;
            let left = deadline - clock::now();
            if page.count > 0 || left <= 0 {
                self.note_sign(&list.caller)?;
                let next = page.next.map(|seq| self.id_at(seq)).transpose()?.flatten();
                return Ok(Answer { status: 200, body: page.items, next });
            }
            let held = self.hold();
            let timeout = Delay::from(Duration::from_millis(left.unsigned_abs()));
            select(held, Box::pin(timeout)).await;
        }
    }

    fn id_at(&self, seq: u64) -> Result<Option<String>, Refused> {
        let (_, agent) = self.address()?;
        Ok(self.sql.find(seq)?.map(|found| format!("msg_{}_{agent}", found.uuid)))
    }

    /// One message, for its sender and its recipient.
    pub(super) fn receipt(
        &self,
        caller: &Principal,
        seq: u64,
        uuid: &str,
    ) -> Result<Answer, Refused> {
        self.flush()?;
        let config = self.with(|core| core.config().cloned())?.ok_or(Refused::AgentNotFound)?;
        let found = self.sql.find(seq)?.filter(|found| found.uuid == uuid);
        let found = found.ok_or(Refused::MessageNotFound)?;
        let is_sender = caller.acts_as(&found.from_owner)
            || found.sender_owner.as_deref().is_some_and(|owner| caller.acts_as(owner));
        let is_recipient = config.open
            && config.version.generation == found.generation
            && caller.acts_for(&config.owner);
        if !is_sender && !is_recipient {
            return Err(Refused::NotYours);
        }
        self.sql.message(seq)?.map(Answer::ok).ok_or(Refused::MessageNotFound)
    }

    /// The recipient's side reports how far a message has come.
    pub(super) fn report(
        &self,
        caller: &Principal,
        agent_id: Option<&AgentId>,
        seq: u64,
        uuid: &str,
        report: Report,
    ) -> Result<Answer, Refused> {
        let generation = self.check_reader(caller, agent_id)?;
        self.note_sign(caller)?;
        self.settle(generation, seq, uuid, report)?;
        self.sql.message(seq)?.map(Answer::ok).ok_or(Refused::MessageNotFound)
    }

    /// Moves a message of this incarnation forward.
    pub(super) fn settle(
        &self,
        generation: u32,
        seq: u64,
        uuid: &str,
        report: Report,
    ) -> Result<(), Refused> {
        self.flush()?;
        let found = self.sql.find(seq)?;
        let found = found.filter(|found| found.uuid == uuid && found.generation == generation);
        let found = found.ok_or(Refused::MessageNotFound)?;
        let now = clock::now();
        let current = Standing { status: found.status, seen: found.seen };
        let settled = self.with(|core| core.report(seq, current, report, now))?;
        let settled = settled.map_err(|current| Refused::InvalidTransition {
            current: current.as_str().to_owned(),
        })?;
        self.execute(settled.into_iter().map(Write::Settle).collect())
    }

    /// Is the holder of this incarnation there?
    pub(super) fn held(&self, agent_id: &AgentId) -> Result<Answer, Refused> {
        let held = self.with(|core| {
            let current = core.open().is_some_and(|config| config.agent_id == *agent_id);
            current && core.is_held(clock::now())
        })?;
        Answer::json(&HeldAnswer { held })
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> Result<Answer, Refused> {
        let waiting = self.with(|core| core.waiting() as u64)?;
        Answer::json(&WaitingCount { waiting })
    }
}
