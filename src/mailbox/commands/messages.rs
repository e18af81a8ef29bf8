//! The commands of senders and recipients.

use crate::mailbox::Refused;
use crate::mailbox::command::{Answer, Effect, HolderPresence, List, PendingCount, StoreMessage};
use crate::mailbox::object::{Fresh, MailboxObject};
use crate::mailbox::sql::{remembered_message, wire_form};
use crate::{clock, random};
use futures_util::future::select;
use multiclaude_hybrid_core::access::Principal;
use multiclaude_hybrid_core::mailbox::{
    Accepted, AgentRef, Dedup, Draft, Event, Key, Kind, Standing, dedup,
};
use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
use multiclaude_hybrid_protocol::{AgentId, Timestamp};
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

impl MailboxObject {
    /// Stores a message. `fields` are the wire fields that are known before the mailbox,
    /// without braces.
    pub(in crate::mailbox) fn send(
        &self,
        send: StoreMessage,
        fields: &str,
    ) -> Result<Answer, Refused> {
        let (_, agent) = self.address()?;
        self.check_notice(send.notice_for.as_ref())?;
        let draft = Draft {
            agent,
            ttl_secs: send.ttl_secs,
            sender: send.sender.as_ref().map(|sender| {
                let (name, id) = (sender.name.clone(), sender.id.clone());
                AgentRef { name, id }
            }),
            key: send.key.map(|(scope, content)| Key { scope, content }),
            push_id: None,
            random: u32::from_le_bytes(random::bytes().map_err(Refused::broken)?),
            is_notice: send.notice_for.is_some(),
            sender_owner: send.sender.map(|sender| sender.owner),
        };
        self.store(Kind::Agent, draft, fields)
    }

    /// Stores a request for a worker, once under each push id. `fields` is its wire form
    /// without braces.
    pub(in crate::mailbox) fn store_spawn(
        &self,
        push_id: String,
        fields: &str,
    ) -> Result<Answer, Refused> {
        let (_, agent) = self.address()?;
        let draft = Draft {
            agent,
            ttl_secs: None,
            sender: None,
            sender_owner: None,
            key: Some(Key { scope: format!("spawn|{push_id}"), content: String::new() }),
            push_id: Some(push_id),
            random: 0,
            is_notice: false,
        };
        self.store(Kind::Spawns, draft, fields)
    }

    fn store(&self, kind: Kind, draft: Draft, fields: &str) -> Result<Answer, Refused> {
        // During a rollout an older Worker sends a request for a worker as a message. Refuse
        // it: the request stays in the outbox until a newer Worker hands it over.
        if self.with(|core| core.current().is_some() && core.kind() != kind)? {
            return Err(Refused::broken("a mailbox of another kind"));
        }
        self.flush()?;
        if let Some(known) = self.repeated(draft.key.as_ref(), fields)? {
            return Ok(Answer::new(Effect::Read, known));
        }
        let push_id = draft.push_id.clone();
        let mut head = String::new();
        let (accepted, writes) = self.with(|core| {
            core.accept(draft, clock::now(), |accepted| {
                head = new_head(kind, accepted, fields);
                head.clone()
            })
        })??;
        self.apply_writes(writes)?;
        let body = wire_form(kind, &head, 0);
        let push_id = push_id.unwrap_or_else(|| accepted.id.to_string());
        self.fresh.replace(Some(Fresh { seq: accepted.id.seq(), push_id, head }));
        Ok(Answer::new(Effect::Stored, body))
    }

    /// A notice is for one incarnation: refuses it for a later one.
    fn check_notice(&self, wanted: Option<&AgentId>) -> Result<(), Refused> {
        let Some(wanted) = wanted else { return Ok(()) };
        let current = self.agent_id()?;
        match current {
            Some(id) if id == *wanted => Ok(()),
            Some(_) => Err(Refused::Superseded),
            None => Err(Refused::AgentNotFound),
        }
    }

    /// The first message under this key, if it was used before.
    fn repeated(&self, key: Option<&Key>, fields: &str) -> Result<Option<String>, Refused> {
        let open = self.with(|core| core.current().is_some())?;
        let Some(Key { scope, content }) = key.filter(|_| open) else {
            return Ok(None);
        };
        let Some(known) = self.sql.key(scope, clock::now())? else {
            return Ok(None);
        };
        let outcome = known.outcome.map(|outcome| remembered_message(&outcome, fields));
        let message = known.message.or(outcome);
        match dedup(Some((&known.content, message.is_some())), content) {
            Dedup::New => Ok(None),
            Dedup::Same => Ok(message),
            Dedup::Mismatch => Err(Refused::IdempotencyMismatch),
        }
    }

    /// Refuses unless the incarnation is the current one and `caller` may
    /// read and acknowledge for it. Returns its generation.
    pub(in crate::mailbox) fn check_reader(
        &self,
        caller: &Principal,
        agent_id: Option<&AgentId>,
    ) -> Result<u32, Refused> {
        self.with(|core| {
            let never = core.config().is_none();
            let Some(config) = core.current() else {
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

    /// Lists messages; holds an empty answer for `wait_ms`.
    pub(in crate::mailbox) async fn list(self: &Rc<Self>, list: List) -> Result<Answer, Refused> {
        let deadline = clock::now() + list.wait_ms as i64;
        let began = self.check_reader(&list.caller, list.agent_id.as_ref())?;
        self.note_presence(&list.caller)?;
        self.follow(Event::Changed)?;
        loop {
            let generation = self.check_reader(&list.caller, list.agent_id.as_ref())?;
            // A held list is for the incarnation that it began with.
            if generation != began {
                return Err(Refused::Superseded);
            }
            self.flush()?;
            // Start at the oldest pending message: rows that are only kept are not read.
            let first = match list.status {
                Some(MessageStatus::Pending) => self.with(|core| core.pending_from())?,
                _ => 1,
            };
            let after = list.after.max(first.saturating_sub(1));
            let page = self.sql.page(generation, list.status, after, list.limit)?;
            let left = deadline - clock::now();
            if page.count > 0 || left <= 0 {
                self.note_presence(&list.caller)?;
                let next = page.next.map(|seq| self.id_at(seq)).transpose()?.flatten();
                return Ok(Answer { next, ..Answer::new(Effect::Read, page.items) });
            }
            let change = self.wait_for_change();
            let timeout = Delay::from(Duration::from_millis(left.unsigned_abs()));
            select(change, Box::pin(timeout)).await;
        }
    }

    fn id_at(&self, seq: u64) -> Result<Option<String>, Refused> {
        let (_, agent) = self.address()?;
        Ok(self.sql.find(seq)?.map(|found| format!("msg_{}_{agent}", found.uuid)))
    }

    /// One message, for its sender and its recipient.
    pub(in crate::mailbox) fn receipt(
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
        self.message(seq, Effect::Read)
    }

    /// The recipient's side reports how far a message has come.
    pub(in crate::mailbox) fn report(
        &self,
        caller: &Principal,
        agent_id: Option<&AgentId>,
        seq: u64,
        uuid: &str,
        report: Report,
    ) -> Result<Answer, Refused> {
        let generation = self.check_reader(caller, agent_id)?;
        self.note_presence(caller)?;
        self.advance(generation, seq, uuid, report)?;
        self.message(seq, Effect::Changed)
    }

    /// A message as the answer to a command with this effect.
    fn message(&self, seq: u64, effect: Effect) -> Result<Answer, Refused> {
        let message = self.sql.message(seq)?.ok_or(Refused::MessageNotFound)?;
        Ok(Answer::new(effect, message))
    }

    /// Moves a message of this incarnation forward.
    pub(in crate::mailbox) fn advance(
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
        let write = self.with(|core| core.report(seq, current, report, now))??;
        self.apply_writes(write.into_iter().collect())
    }

    /// Is the holder of this incarnation there?
    pub(in crate::mailbox) fn holder_is_present(
        &self,
        agent_id: &AgentId,
    ) -> Result<Answer, Refused> {
        let is_present = self.with(|core| {
            let current = core.current().is_some_and(|config| config.agent_id == *agent_id);
            current && core.holder_is_present(clock::now())
        })?;
        Answer::json(Effect::Read, &HolderPresence { is_present })
    }

    /// The number of pending messages.
    pub(in crate::mailbox) fn count_pending(&self) -> Result<Answer, Refused> {
        let pending = self.with(|core| core.pending() as u64)?;
        Answer::json(Effect::Read, &PendingCount { pending })
    }
}

/// The part of a stored message's wire form that does not change, without the last brace.
fn new_head(kind: Kind, accepted: &Accepted, fields: &str) -> String {
    let Accepted { id, expires_at } = accepted;
    let (created, expires) = (id.time(), Timestamp(*expires_at));
    match kind {
        Kind::Agent => format!(
            "{{\"id\":\"{id}\",{fields},\"created_at\":\"{created}\",\"expires_at\":\"{expires}\""
        ),
        Kind::Spawns => format!("{{{fields}"),
    }
}
