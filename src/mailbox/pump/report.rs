//! Reports to others: notices to senders, and to the registry how messages reach the
//! agent and when its holder was there last.

use crate::error::ApiError;
use crate::mailbox::command::{Command, Send, wire_fields};
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
    /// Passes a notice on, unless its recipient is gone.
    pub(super) async fn pass_on(&self, batch: &Batch) -> Result<(), Refused> {
        match self.send_notice(batch).await {
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

    async fn send_notice(&self, batch: &Batch) -> Result<(), Refused> {
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
        Door::of(&self.env, &repo, &batch.recipient.name)?.command(&command, &fields).await
    }

    /// Shows in the registry how messages reach the agent.
    pub(super) async fn report_delivery(
        &self,
        delivery: (Delivery, Option<String>),
    ) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let (id, sign) = self
            .with(|core| (core.open().map(|config| config.agent_id.clone()), core.last_sign()))?;
        let Some(id) = id else { return Ok(()) };
        let shown = (delivery.0, delivery.1.as_deref());
        let reported = async {
            presence::set_delivery(&Db::new(&self.env)?, &id, &repo, &agent, shown, sign).await
        };
        if let Err(error) = reported.await {
            return self.report_failed("report_delivery", &error);
        }
        let writes = self.with(|core| {
            if let Some(sign) = sign {
                core.sign_reported(sign);
            }
            core.reported(delivery)
        })?;
        self.execute(writes)
    }

    /// Shows in the registry that the agent's holder was there.
    pub(super) async fn report_sign(&self, sign: Ms, settings: &Settings) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let id = self.with(|core| core.open().map(|config| config.agent_id.clone()))?;
        let Some(id) = id else { return Ok(()) };
        let before = sign - settings.timing.seen_grain;
        let reported = async {
            presence::set_seen(&Db::new(&self.env)?, &id, &repo, &agent, sign, before).await
        };
        match reported.await {
            Ok(()) => self.with(|core| core.sign_reported(sign)),
            Err(error) => self.report_failed("report_sign", &error),
        }
    }

    /// D1 does not answer: everything else goes on, and the alarm tries again.
    fn report_failed(&self, what: &str, error: &ApiError) -> Result<(), Refused> {
        log::fault(what, &format!("{}: {error}", self.name));
        self.with(|core| core.report_failed(clock::now()))
    }
}
