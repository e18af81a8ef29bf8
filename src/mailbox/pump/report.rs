//! Sends notices to senders, and reports to the registry how messages reach the agent and
//! when its holder was last there.

use crate::error::ApiError;
use crate::mailbox::command::{Command, StoreMessage, wire_fields};
use crate::mailbox::object::Inner;
use crate::mailbox::{Door, Refused};
use crate::settings::Settings;
use crate::store::{Db, presence};
use crate::{clock, log};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::mailbox::{Batch, notice_text};
use multiclaude_hybrid_protocol::agent::Delivery;
use serde_json::json;

impl Inner {
    /// Sends a notice, unless its recipient is gone.
    pub(super) async fn send_notice(&self, batch: &Batch) -> Result<(), Refused> {
        match self.store_notice(batch).await {
            Ok(()) | Err(Refused::AgentNotFound | Refused::Superseded) => {
                let write = self.with(|core| core.notice_done(batch.batch))?;
                self.execute(vec![write])
            }
            Err(refused) => {
                self.log_fault("notice", Err(refused));
                self.with(|core| core.notice_failed(clock::now()))
            }
        }
    }

    /// Stores the notice as a message in the mailbox of its recipient.
    async fn store_notice(&self, batch: &Batch) -> Result<(), Refused> {
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
        let command = Command::Send(StoreMessage {
            sender: None,
            key: Some((scope.clone(), scope)),
            ttl_secs: None,
            notice_for: Some(batch.recipient.id.clone()),
        });
        Door::of(&self.env, &repo, &batch.recipient.name)?.command(&command, &fields).await
    }

    /// Shows in the registry how messages reach the agent.
    pub(super) async fn report_delivery(
        &self,
        delivery: (Delivery, Option<String>),
    ) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let (id, seen) = self.with(|core| {
            (core.open().map(|config| config.agent_id.clone()), core.last_presence())
        })?;
        let Some(id) = id else { return Ok(()) };
        let shown = (delivery.0, delivery.1.as_deref());
        let reported = async {
            presence::set_delivery(&Db::new(&self.env)?, &id, &repo, &agent, shown, seen).await
        };
        if let Err(error) = reported.await {
            return self.report_failed("report_delivery", &error);
        }
        let writes = self.with(|core| {
            if let Some(seen) = seen {
                core.presence_reported(seen);
            }
            core.reported(delivery)
        })?;
        self.execute(writes)
    }

    /// Shows in the registry when the agent's holder was last there.
    pub(super) async fn report_presence(
        &self,
        seen: Ms,
        settings: &Settings,
    ) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let id = self.with(|core| core.open().map(|config| config.agent_id.clone()))?;
        let Some(id) = id else { return Ok(()) };
        let before = seen - settings.timing.seen_grain;
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
