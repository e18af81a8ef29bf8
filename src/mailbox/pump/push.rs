//! Pushes a message to the endpoint.

use crate::delivery::{self, Post};
use crate::mailbox::Refused;
use crate::mailbox::object::{Fresh, MailboxObject};
use crate::mailbox::sql::wire_form;
use crate::store::Db;
use crate::store::spawns::outbox;
use crate::{clock, log, random};
use multiclaude_hybrid_core::lease::PushId;
use multiclaude_hybrid_core::mailbox::Kind;
use multiclaude_hybrid_core::outcome::{ErrorClass, Outcome};
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::message::FailureReason;
use multiclaude_hybrid_protocol::push::{PushKind, envelope};
use std::rc::Rc;

impl MailboxObject {
    /// Pushes the oldest message, if it is due. A failure is stored now, a success with the
    /// next flush: within 250 ms, or before the next command.
    pub(super) async fn push(self: &Rc<Self>) -> Result<(), Refused> {
        let Some(push) = self.with(|core| core.begin_push(clock::now()))? else { return Ok(()) };
        let fresh = self.fresh.take().filter(|fresh| fresh.seq == push.seq);
        let kind = self.with(|core| core.kind())?;
        let first_try = push.attempt == 1 && fresh.is_some();
        let Some((id, message)) = self.outgoing(push.seq, kind, push.attempt - 1, fresh)? else {
            self.discard_memory();
            return Err(Refused::broken(format!("message {} is not stored", push.seq)));
        };
        if kind == Kind::Spawns && !first_try && !self.still_wanted(&id).await {
            self.with(|core| core.abandon_push(&push))?;
            return self.fail(&[push.seq], FailureReason::Rejected);
        }
        let url = self.with(|core| {
            core.current().and_then(|config| Some(config.endpoint.as_ref()?.url.clone()))
        })?;
        let Some(url) = url else {
            return self.with(|core| core.abandon_push(&push));
        };
        let (outcome, ms) = match self.secrets() {
            Ok(secrets) => {
                let post = Post { url, id: id.clone(), body: body(kind, &message), secrets };
                delivery::post(&post, &self.settings()?.timing).await
            }
            // No secret opens: back off as after any other failure.
            Err(fault) => {
                self.log_fault("sign", Err(fault));
                (Outcome::unanswered(ErrorClass::Secret), 0)
            }
        };
        let now = clock::now();
        let finished = self.with(|core| core.finish_push(&push, outcome, random::unit(), now))?;
        self.apply_writes(finished.writes)?;
        self.flush_soon();
        if let Some(seq) = finished.rejected {
            self.fail(&[seq], FailureReason::Rejected)?;
        }
        let class = outcome.error().map_or("delivered".to_owned(), |class| class.to_string());
        log::pushed(&self.name, &id, push.attempt, &class, ms, self.sql.take_rows());
        Ok(())
    }

    /// The id of a push or an offer, and the message in its wire form; none if it is gone.
    pub(in crate::mailbox) fn outgoing(
        &self,
        seq: u64,
        kind: Kind,
        attempts: u32,
        fresh: Option<Fresh>,
    ) -> Result<Option<(String, String)>, Refused> {
        match fresh {
            Some(Fresh { push_id, head, .. }) => {
                Ok(Some((push_id, wire_form(kind, &head, attempts))))
            }
            None => self.sql.outgoing(seq, &self.address()?.1),
        }
    }

    /// Is the request for a worker still pending? Since it was stored it may have been
    /// claimed, cancelled or handed over again. If D1 does not answer, it is pushed anyway:
    /// a callback about it is then refused.
    async fn still_wanted(&self, push_id: &str) -> bool {
        let (Some(push_id), Ok(db)) = (PushId::parse(push_id), Db::new(&self.env)) else {
            return true;
        };
        outbox::is_pending(&db, &push_id).await.unwrap_or(true)
    }
}

fn body(kind: Kind, message: &str) -> String {
    let kind = match kind {
        Kind::Agent => PushKind::MessageCreated,
        Kind::Spawns => PushKind::SpawnRequested,
    };
    envelope(kind, Timestamp(clock::now()), message)
}
