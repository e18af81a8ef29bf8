//! What the registry shows of the agent: how messages reach it, and when its holder was
//! there last. D1 is told, after the answer that led to it.

use super::command::Refused;
use super::object::Inner;
use crate::error::ApiError;
use crate::settings::Settings;
use crate::store::{Db, presence as store};
use crate::{clock, log};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::agent::Delivery;

impl Inner {
    /// Shows in the registry how messages reach the agent, when that changes.
    pub(super) async fn report_delivery(
        &self,
        delivery: (Delivery, Option<String>),
    ) -> Result<(), Refused> {
        let (repo, agent) = self.address()?;
        let (id, sign) = self
            .with(|core| (core.open().map(|config| config.agent_id.clone()), core.last_sign()))?;
        let Some(id) = id else { return Ok(()) };
        let shown = (delivery.0, delivery.1.as_deref());
        let told = match Db::new(&self.env) {
            // Nobody is registered by this name.
            _ if self.is_for_spawns() => Ok(()),
            Ok(db) => store::set_delivery(&db, &id, &repo, &agent, shown, sign).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
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
        let told = match Db::new(&self.env) {
            Ok(db) => store::set_seen(&db, &id, &repo, &agent, sign, before).await,
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => self.with(|core| core.sign_reported(sign)),
            Err(error) => self.report_failed("report_sign", &error),
        }
    }

    /// D1 is away: everything else goes on, and the alarm tries again.
    fn report_failed(&self, what: &str, error: &ApiError) -> Result<(), Refused> {
        log::fault(what, &format!("{}: {error}", self.name));
        self.with(|core| core.report_failed(clock::now()))
    }
}
