//! What a mailbox does by itself: pushes what waits, fails what is over,
//! passes notices on, reports its delivery to the registry.
//!
//! One drain runs at a time. It begins as soon as a message is stored, in the
//! same turn, and the sender's answer does not wait for it. The runtime holds
//! an outgoing request back until the writes before it are on disk, so a push
//! never precedes its message.

use super::command::{Command, Refused, Send, wire_fields};
use super::door::Door;
use super::object::Inner;
use super::sql::fresh_message;
use crate::delivery::{self, Post};
use crate::settings::Settings;
use crate::store::{self, Db};
use crate::{clock, log, random};
use multiclaude_hybrid_core::mailbox::{Batch, Push, notice_text};
use multiclaude_hybrid_core::outcome::{ErrorClass, Outcome};
use multiclaude_hybrid_protocol::message::FailureReason;
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{MessageId, SpawnId, Timestamp};
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

/// How long the mark of a successful push may wait for another write to go
/// with. What is lost with it, if the object dies, is pushed again.
const MARK_DELAY: Duration = Duration::from_millis(250);
/// Pushes, notices and reports of one event: the runtime allows each a bounded
/// number of outgoing requests.
const DRAIN_STEPS: u32 = 200;
/// Batches of failing messages in one drain; the alarm does the rest.
const FAIL_ROUNDS: u32 = 10;

/// How a drain ended.
enum Drained {
    Everything,
    More,
}

/// What one push sends, and where.
struct Payload {
    url: String,
    id: String,
    body: String,
    secrets: Vec<Secret>,
}

impl Inner {
    /// Is there anything that a drain would do now?
    pub(super) fn has_work(&self) -> Result<bool, Refused> {
        let now = clock::now();
        self.with(|core| {
            core.can_push(now)
                || core.can_offer(now)
                || core.due_to_fail(now).is_some()
                || core.next_notice(now).is_some()
                || core.unreported(now).is_some()
                || core.unreported_sign(now).is_some()
        })
    }

    /// Does all that is due, until nothing is, or for as long as one event may
    /// last: then an alarm goes on with it.
    pub(super) async fn drain(self: &Rc<Self>) {
        if self.draining.replace(true) {
            return;
        }
        let result = self.drain_all().await;
        self.draining.set(false);
        let armed = match result {
            Ok(Drained::Everything) => {
                self.faults.set(0);
                self.settings().and_then(|settings| self.arm(&settings))
            }
            Ok(Drained::More) => self.set_alarm(Some(clock::now())),
            Err(refused) => {
                self.faults.set(self.faults.get() + 1);
                self.report_fault("drain", Err(refused));
                // A failed write has thrown the memory away.
                self.settings().and_then(|settings| {
                    self.load(&settings)?;
                    self.arm(&settings)
                })
            }
        };
        self.report_fault("arm", armed);
        self.flush_later().await;
    }

    /// Pushes come first, and are looked for again after everything else.
    async fn drain_all(self: &Rc<Self>) -> Result<Drained, Refused> {
        let settings = self.settings()?;
        for _ in 0..DRAIN_STEPS {
            self.fail_due()?;
            if self.offer().await? {
                continue;
            }
            let now = clock::now();
            if let Some(push) = self.with(|core| core.begin_push(now))? {
                self.push(&push, &settings).await?;
            } else if let Some(batch) = self.with(|core| core.next_notice(now))? {
                self.pass_on(&batch).await?;
            } else if let Some(delivery) = self.with(|core| core.unreported(now))? {
                self.report_delivery(delivery).await?;
            } else if let Some(sign) = self.with(|core| core.unreported_sign(now))? {
                self.report_sign(sign, &settings).await?;
            } else {
                self.purge()?;
                return Ok(Drained::Everything);
            }
        }
        Ok(Drained::More)
    }

    /// Marks of successful pushes go with the next command's write, or by
    /// themselves after a while.
    async fn flush_later(&self) {
        let unsaved = self.with(|core| core.has_unsaved()).unwrap_or(false);
        if !unsaved || self.flushing.replace(true) {
            return;
        }
        Delay::from(MARK_DELAY).await;
        self.flushing.set(false);
        let flushed = self.flush();
        self.report_fault("flush", flushed);
        let rows = self.sql.take_rows();
        if rows > 0 {
            log::worked(&self.name, "marks", rows);
        }
    }

    pub(super) fn report_fault(&self, what: &str, result: Result<(), Refused>) {
        if let Err(refused) = result {
            log::fault(what, &format!("{}: {refused}", self.name));
        }
    }

    /// One push from its beginning to its end.
    async fn push(self: &Rc<Self>, push: &Push, settings: &Settings) -> Result<(), Refused> {
        let first_try = push.attempt == 1
            && self.fresh.borrow().as_ref().is_some_and(|(seq, _)| *seq == push.seq);
        if self.is_for_spawns() && !first_try && !self.still_wanted(push.seq).await {
            self.with(|core| core.abandon_push(push))?;
            return self.fail(&[push.seq], FailureReason::Rejected);
        }
        let payload = match self.payload(push, settings) {
            Ok(Some(payload)) => payload,
            Ok(None) => {
                self.with(|core| core.abandon_push(push))?;
                return Err(Refused::MessageNotFound);
            }
            Err(fault) => return self.cannot_sign(push, fault),
        };
        let (answer, ms) = delivery::post(&Post {
            url: &payload.url,
            id: &payload.id,
            body: &payload.body,
            secrets: &payload.secrets,
            timing: &settings.timing,
        })
        .await;
        let outcome = Outcome::of(answer);
        let now = clock::now();
        let finished = self.with(|core| core.finish_push(push, outcome, random::unit(), now))?;
        self.execute(finished.writes)?;
        if let Some(seq) = finished.rejected {
            self.fail(&[seq], FailureReason::Rejected)?;
        }
        let class = outcome.error().map(|class| class.to_string());
        let word = class.as_deref().unwrap_or("delivered");
        log::pushed(&self.name, &payload.id, push.attempt, word, ms, self.sql.take_rows());
        Ok(())
    }

    /// Before a request for a worker is pushed that has waited: was it claimed,
    /// cancelled or handed over anew meanwhile? Where D1 does not say, it is
    /// pushed; whoever starts a worker for it is told by the answer to its
    /// callback.
    async fn still_wanted(&self, seq: u64) -> bool {
        let head = self.sql.head(seq).ok().flatten().unwrap_or_default();
        // {"webhook_id":"spn_…_<claims>","id":"spn_…",
        let mut parts = head.split('"');
        let claims = parts.nth(3).and_then(|id| id.get(4..)?.split_once('_'));
        let claims = claims.map_or(0, |(_, claims)| claims.parse().unwrap_or(0));
        let id = parts.nth(3).and_then(SpawnId::parse);
        let (Some(id), Ok(db)) = (id, Db::new(&self.env)) else {
            return true;
        };
        let pending = store::outgoing::is_pending(&db, &id, claims).await;
        pending.unwrap_or(true)
    }

    /// No secret opens, so nothing can be signed: a failure of the endpoint like
    /// any other, with its backoff, and shown as one.
    fn cannot_sign(&self, push: &Push, fault: Refused) -> Result<(), Refused> {
        self.report_fault("sign", Err(fault));
        let outcome = Outcome::Retry { class: ErrorClass::Secret, retry_after_secs: None };
        let now = clock::now();
        let finished = self.with(|core| core.finish_push(push, outcome, random::unit(), now))?;
        self.execute(finished.writes)
    }

    /// What a push sends; none if the message or the endpoint is gone.
    fn payload(&self, push: &Push, settings: &Settings) -> Result<Option<Payload>, Refused> {
        let (_, agent) = self.address()?;
        let url = self.with(|core| {
            core.open().and_then(|config| Some(config.endpoint.as_ref()?.url.clone()))
        })?;
        let fresh = self.fresh.take().filter(|(seq, _)| *seq == push.seq);
        let spawn = self.is_for_spawns();
        let message = match fresh {
            Some((_, head)) if spawn => Some(format!("{head}}}")),
            Some((_, head)) => Some(fresh_message(&head, push.attempt - 1)),
            None if spawn => self.sql.head(push.seq)?,
            None => self.sql.message(push.seq)?,
        };
        let Some((url, message)) = url.zip(message) else {
            return Ok(None);
        };
        // A head begins with the id: {"id":"msg_…", or {"webhook_id":"spn_…",
        let id = message.split('"').nth(3).unwrap_or_default().to_owned();
        let (kind, data) = if spawn {
            let (_, rest) = message.split_once(',').unwrap_or_default();
            ("worker.spawn_requested", format!("{{{rest}"))
        } else {
            if MessageId::parse(&id).is_none_or(|id| *id.agent() != agent) {
                return Ok(None);
            }
            ("message.created", message)
        };
        let body = format!(
            "{{\"type\":\"{kind}\",\"timestamp\":\"{}\",\"data\":{data}}}",
            Timestamp(clock::now())
        );
        let secrets = self.secrets(settings)?;
        Ok(Some(Payload { url, id, body, secrets }))
    }

    /// Fails what is over or orphaned, a bounded number of batches.
    fn fail_due(&self) -> Result<(), Refused> {
        for _ in 0..FAIL_ROUNDS {
            let Some((reason, seqs)) = self.with(|core| core.due_to_fail(clock::now()))? else {
                return Ok(());
            };
            self.fail(&seqs, reason)?;
        }
        Ok(())
    }

    fn fail(&self, seqs: &[u64], reason: FailureReason) -> Result<(), Refused> {
        let failing = self.sql.stored(seqs)?;
        let writes = self.with(|core| core.fail(failing, reason, clock::now()))?;
        self.execute(writes)
    }

    /// Tells a sender what failed. A sender that is gone is told nothing.
    async fn pass_on(&self, batch: &Batch) -> Result<(), Refused> {
        match self.tell(batch).await {
            Ok(()) | Err(Refused::AgentNotFound | Refused::Superseded) => {
                let write = self.with(|core| core.notice_done(batch.batch))?;
                self.execute(vec![write])
            }
            Err(refused) => {
                log::fault("notice", &format!("{}: {refused}", self.name));
                self.with(|core| core.notice_failed(clock::now()))
            }
        }
    }

    async fn tell(&self, batch: &Batch) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let fields = wire_fields(&json!({
            "from": "system", "from_owner": "system", "to": batch.recipient.name, "repo": repo,
            "body": notice_text(&repo, &agent, batch),
            "metadata": {
                "event": "message.failed", "failure_reason": batch.reason.as_str(),
                "to": agent, "count": batch.uuids.len().to_string(),
            },
        }))?;
        let scope = format!("notice|{}|{}", self.name, batch.batch);
        let command = Command::Send(Send {
            sender: None,
            key: Some((scope.clone(), scope)),
            ttl_secs: None,
            notice_for: Some(batch.recipient.id.clone()),
        });
        let door = Door::of(&self.env, &repo, &batch.recipient.name)?;
        let mut response = door.send(&command, &fields).await?;
        let text = response.text().await?;
        if response.status_code() == 409 {
            return Err(Refused::read(&text));
        }
        Ok(())
    }

    /// Deletes old rows, and saves where the next load can begin.
    fn purge(&self) -> Result<(), Refused> {
        let now = clock::now();
        if self.with(|core| core.purge_due())?.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.flush()?;
        let next = self.sql.purge(now)?;
        self.with(|core| core.purged(next))?;
        self.sql.save_low_water(self.with(|core| core.low_water())?)?;
        log::worked(&self.name, "purge", self.sql.take_rows());
        Ok(())
    }
}
