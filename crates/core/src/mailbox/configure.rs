//! Configurations: the registry in D1 decides, and the mailbox follows.
//!
//! A configuration older than the one in force, by generation and revision, is refused.
//! The same one is accepted again: it repairs a crash between D1 and the mailbox.

use super::config::{Config, ConfigureRequest};
use super::refused::Refused;
use super::state::{Mailbox, Presence};
use super::write::Write;
use crate::registry::{self, Version};
use crate::{Ms, secrets};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::{AgentId, Owner};

/// Secrets that sign beside the newest one.
const OLD_SECRETS_MAX: usize = 15;

impl Mailbox {
    fn check_version(&self, version: Version) -> Result<(), Refused> {
        let newer = self.config.as_ref().is_some_and(|config| config.version > version);
        if newer { Err(Refused::Stale) } else { Ok(()) }
    }

    /// Does `request` need a new secret? `replace`: one was given or asked for.
    pub fn needs_secret(&self, request: &ConfigureRequest, replace: bool) -> Result<bool, Refused> {
        self.check_version(request.version)?;
        let Some(url) = &request.endpoint else { return Ok(false) };
        let current = self.config.as_ref().filter(|config| config.agent_id == request.agent_id);
        Ok(replace || current.is_none_or(|config| config.url() != url))
    }

    /// Puts `request` in force, with `secret` (sealed) if [`Mailbox::needs_secret`] asked
    /// for one. Pending messages of earlier incarnations become orphans and fail.
    pub fn configure(
        &mut self,
        request: ConfigureRequest,
        secret: Option<String>,
        now: Ms,
    ) -> Result<Vec<Write>, Refused> {
        self.check_version(request.version)?;
        let current = self.config.as_ref();
        let kind = request.kind.or(current.map(|config| config.kind)).unwrap_or_default();
        let same_agent =
            current.filter(|config| config.open && config.agent_id == request.agent_id);
        let before = same_agent.and_then(|config| config.endpoint.clone());
        let endpoint = request.endpoint.map(|url| {
            let mut endpoint = before.unwrap_or_default();
            let stays_gone = endpoint.gone && endpoint.url == url && !request.sets_endpoint;
            endpoint.url = url;
            if !stays_gone {
                endpoint.reset();
            }
            let overlap = self.timing.secret_overlap;
            secrets::rotate(&mut endpoint.secrets, secret, now, overlap, OLD_SECRETS_MAX);
            endpoint
        });
        let replaced = same_agent.is_none();
        let mut config = Config {
            kind,
            agent_id: request.agent_id,
            owner: request.owner,
            version: request.version,
            open: true,
            endpoint,
            reported: (Delivery::Polling, None),
        };
        // For a new incarnation or URL the registry has already set the delivery that it
        // shows; else it shows the one that was reported last.
        let shown = same_agent.filter(|before| before.url() == config.url());
        config.reported = match shown {
            Some(before) => before.reported.clone(),
            None => (registry::delivery_of(config.url()), None),
        };
        if replaced {
            self.end_incarnation();
        }
        Ok(self.put_config(config))
    }

    /// Ends the incarnation: closes the mailbox, drops endpoint and secrets.
    pub fn close(
        &mut self,
        agent_id: AgentId,
        owner: Owner,
        version: Version,
    ) -> Result<Vec<Write>, Refused> {
        self.check_version(version)?;
        self.end_incarnation();
        Ok(self.put_config(Config {
            kind: self.kind(),
            agent_id,
            owner,
            version,
            open: false,
            endpoint: None,
            reported: (Delivery::Polling, None),
        }))
    }

    /// Forgets stream and presence; pending messages become orphans.
    fn end_incarnation(&mut self) {
        self.stream = None;
        self.presence = Presence::default();
        self.orphans.extend(self.pending.drain());
    }

    pub(super) fn put_config(&mut self, config: Config) -> Vec<Write> {
        if self.config.as_ref() == Some(&config) {
            return Vec::new();
        }
        self.config = Some(config.clone());
        vec![Write::Config(Box::new(config))]
    }
}
