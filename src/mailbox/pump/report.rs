//! Sends notices to senders, and reports to the registry how messages reach the agent and
//! when its holder was last present.

use crate::error::ApiError;
use crate::mailbox::object::MailboxObject;
use crate::mailbox::{Door, Refused};
use crate::store::{Db, presence};
use crate::{clock, log};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::mailbox::{Batch, notice_text};
use multiclaude_hybrid_protocol::agent::Delivery;
use serde_json::json;

impl MailboxObject {
    /// Sends a notice, unless its recipient is gone.
    pub(super) async fn send_notice(&self, batch: &Batch) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let scope = format!("notice|{}|{}", self.name, batch.batch);
        let metadata = json!({
            "event": "message.failed", "failure_reason": batch.reason.as_str(),
            "to": agent, "count": batch.uuids.len().to_string(),
        });
        let body = notice_text(&repo, &agent, batch);
        match Door::notify(&self.env, &repo, &batch.recipient, scope, &body, metadata).await {
            Ok(()) => self.write(|core| vec![core.notice_done(batch.batch)]),
            Err(refused) => {
                self.log_fault("notice", Err(refused));
                self.with(|core| core.notice_failed(clock::now()))
            }
        }
    }

    /// Shows in the registry how messages reach the agent.
    pub(super) async fn report_channel(
        &self,
        delivery: (Delivery, Option<String>),
    ) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let Some(id) = self.agent_id()? else { return Ok(()) };
        let seen = self.with(|core| core.last_presence())?;
        let shown = (delivery.0, delivery.1.as_deref());
        let reported = async {
            presence::set_delivery(&Db::new(&self.env)?, &id, &repo, &agent, shown, seen).await
        };
        if let Err(error) = reported.await {
            return self.report_failed("report_channel", &error);
        }
        self.write(|core| {
            if let Some(seen) = seen {
                core.presence_reported(seen);
            }
            core.channel_reported(delivery)
        })
    }

    /// Shows in the registry when the agent's holder was last present.
    pub(super) async fn report_presence(&self, seen: Ms) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let Some(id) = self.agent_id()? else { return Ok(()) };
        let before = seen - self.settings()?.timing.seen_grain;
        let reported = async {
            presence::set_seen(&Db::new(&self.env)?, &id, &repo, &agent, seen, before).await
        };
        match reported.await {
            Ok(()) => self.with(|core| core.presence_reported(seen)),
            Err(error) => self.report_failed("report_presence", &error),
        }
    }

    /// D1 does not answer: other work continues, and the alarm tries again.
    fn report_failed(&self, what: &str, error: &ApiError) -> Result<(), Refused> {
        log::fault(what, &format!("{}: {error}", self.name));
        self.with(|core| core.report_failed(clock::now()))
    }
}
