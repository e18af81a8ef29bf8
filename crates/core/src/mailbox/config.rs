//! A mailbox's configuration: who it belongs to and where it pushes.
//!
//! The registry in D1 decides; a configuration older than the one in force,
//! by generation and revision, is ignored. The same one again is welcome: it
//! heals what a crash between D1 and here left.

use super::{Mailbox, Write};
use crate::Ms;
use crate::outcome::ErrorClass;
use crate::registry::{self, Version};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::{AgentId, Owner};
use serde::{Deserialize, Serialize};

/// Secrets that sign beside the newest one.
const OLD_SECRETS_MAX: usize = 15;

/// The configuration in force. One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The incarnation.
    pub agent_id: AgentId,
    /// Whose agent it is: who may read and acknowledge.
    pub owner: Owner,
    /// Orders configurations.
    pub version: Version,
    /// False once the agent was deregistered.
    pub open: bool,
    /// Where to push.
    pub endpoint: Option<Endpoint>,
    /// The delivery that the registry shows.
    pub reported: (Delivery, Option<String>),
}

/// Where messages are pushed, and how that has gone. Older rows lack some fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The checked URL.
    pub url: String,
    /// The newest secret first; each sealed.
    pub secrets: Vec<HeldSecret>,
    /// It answered 410: nothing goes there until it is set again, or a test of it
    /// succeeds.
    #[serde(default)]
    pub gone: bool,
    /// Failures in a row.
    #[serde(default)]
    pub step: u32,
    /// Nothing is pushed before this.
    pub next_at: Option<Ms>,
    /// The class of the last failure, while it fails.
    pub last_error: Option<ErrorClass>,
}

/// A sealed webhook secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSecret {
    /// As `seal` made it.
    pub sealed: String,
    /// Until when it signs, once it is replaced.
    pub until: Option<Ms>,
}

/// What the registry wants the mailbox to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The incarnation.
    pub agent_id: AgentId,
    /// Whose agent it is.
    pub owner: Owner,
    /// Orders configurations.
    pub version: Version,
    /// Where to push, checked; none for polling.
    pub endpoint: Option<String>,
    /// The endpoint was set by the request behind this, and is not only what the
    /// registry knows already.
    #[serde(default = "yes")]
    pub sets_endpoint: bool,
}

/// Older coordinators did not say; then every configuration counted as set.
fn yes() -> bool {
    true
}

/// A newer configuration is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleConfiguration;

/// What a configuration means for the endpoint's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlan {
    /// There is none, or it stays.
    Keep,
    /// It needs a new one: the given one, else a generated one.
    Replace,
}

impl Endpoint {
    fn new(url: String) -> Self {
        Self { url, secrets: Vec::new(), gone: false, step: 0, next_at: None, last_error: None }
    }

    /// Forgets failures: the next message goes at once.
    pub(super) fn reset(&mut self) {
        self.gone = false;
        self.step = 0;
        self.next_at = None;
        self.last_error = None;
    }

    /// The sealed secrets that sign at `now`, the newest first.
    pub fn signing(&self, now: Ms) -> impl Iterator<Item = &HeldSecret> {
        self.secrets.iter().filter(move |secret| secret.until.is_none_or(|until| now < until))
    }
}

impl Config {
    /// Where to push; empty for polling.
    fn url(&self) -> &str {
        self.endpoint.as_ref().map_or("", |endpoint| &endpoint.url)
    }

    /// How messages reach the agent, and why not as asked for.
    pub fn delivery(&self) -> (Delivery, Option<String>) {
        match &self.endpoint {
            None => (Delivery::Polling, None),
            Some(endpoint) if endpoint.gone => (
                Delivery::Polling,
                Some("endpoint_gone: it answered 410; set or test the endpoint".to_owned()),
            ),
            Some(endpoint) => match endpoint.last_error {
                Some(class) => {
                    (Delivery::Polling, Some(format!("endpoint_failing: {class}; retries go on")))
                }
                None => (Delivery::Webhook, None),
            },
        }
    }
}

impl Mailbox {
    /// Does `wish` need a new secret? `replace`: one was given or asked for.
    pub fn plan_secret(
        &self,
        wish: &Configuration,
        replace: bool,
    ) -> Result<SecretPlan, StaleConfiguration> {
        let current = self.config.as_ref();
        if current.is_some_and(|config| config.version > wish.version) {
            return Err(StaleConfiguration);
        }
        let Some(url) = &wish.endpoint else {
            return Ok(SecretPlan::Keep);
        };
        let same = current
            .filter(|config| config.agent_id == wish.agent_id)
            .and_then(|config| config.endpoint.as_ref())
            .is_some_and(|endpoint| endpoint.url == *url);
        Ok(if same && !replace { SecretPlan::Keep } else { SecretPlan::Replace })
    }

    /// Puts `wish` in force, with `secret` (sealed) if [`SecretPlan::Replace`]
    /// asked for one. What waited for an earlier incarnation is to fail.
    pub fn configure(
        &mut self,
        wish: Configuration,
        secret: Option<String>,
        now: Ms,
    ) -> Result<Vec<Write>, StaleConfiguration> {
        let current = self.config.as_ref();
        if current.is_some_and(|config| config.version > wish.version) {
            return Err(StaleConfiguration);
        }
        let same_agent = current.filter(|config| config.open && config.agent_id == wish.agent_id);
        let before = same_agent.and_then(|config| config.endpoint.clone());
        let endpoint = wish.endpoint.map(|url| {
            let mut endpoint = before.unwrap_or_else(|| Endpoint::new(url.clone()));
            let stays_gone = endpoint.gone && endpoint.url == url && !wish.sets_endpoint;
            endpoint.url = url;
            if !stays_gone {
                endpoint.reset();
            }
            endpoint.secrets.retain(|held| held.until.is_none_or(|until| now < until));
            if let Some(sealed) = secret {
                let until = now + self.timing.secret_overlap;
                for held in &mut endpoint.secrets {
                    held.until = Some(held.until.map_or(until, |known| known.min(until)));
                }
                endpoint.secrets.insert(0, HeldSecret { sealed, until: None });
                endpoint.secrets.truncate(OLD_SECRETS_MAX + 1);
            }
            endpoint
        });
        let replaced = same_agent.is_none();
        let mut config = Config {
            agent_id: wish.agent_id,
            owner: wish.owner,
            version: wish.version,
            open: true,
            endpoint,
            reported: (Delivery::Polling, None),
        };
        // With a new incarnation or another URL the registry has written what it shows;
        // else it shows what it was told last.
        let shown = same_agent.filter(|before| before.url() == config.url());
        config.reported = match shown {
            Some(before) => before.reported.clone(),
            None => (registry::delivery_of(config.url()), None),
        };
        if replaced {
            self.stream = None;
            self.forget_signs();
            self.orphan_all();
        }
        Ok(self.put_config(config))
    }

    /// Ends the incarnation: closes the mailbox, drops endpoint and secrets.
    pub fn close(
        &mut self,
        agent_id: AgentId,
        owner: Owner,
        version: Version,
    ) -> Result<Vec<Write>, StaleConfiguration> {
        if self.config.as_ref().is_some_and(|config| config.version > version) {
            return Err(StaleConfiguration);
        }
        self.stream = None;
        self.forget_signs();
        self.orphan_all();
        Ok(self.put_config(Config {
            agent_id,
            owner,
            version,
            open: false,
            endpoint: None,
            reported: (Delivery::Polling, None),
        }))
    }

    fn orphan_all(&mut self) {
        self.orphans.extend(self.waiting.drain());
    }

    pub(super) fn put_config(&mut self, config: Config) -> Vec<Write> {
        if self.config.as_ref() == Some(&config) {
            return Vec::new();
        }
        self.config = Some(config.clone());
        vec![Write::Config(Box::new(config))]
    }

    /// The delivery to tell the registry now, if it shows another one.
    pub fn unreported(&self, now: Ms) -> Option<(Delivery, Option<String>)> {
        let config = self.open().filter(|_| self.report_held_until <= now)?;
        let delivery = match &self.stream {
            Some(_) => (Delivery::Stream, None),
            None => config.delivery(),
        };
        (config.reported != delivery).then_some(delivery)
    }

    /// The registry could not be told: not before `outbox_retry` from now.
    pub fn report_failed(&mut self, now: Ms) {
        self.report_held_until = now + self.timing.outbox_retry;
    }

    /// When the registry is to be told something, if it is.
    pub(super) fn report_due(&self, now: Ms) -> Option<Ms> {
        let at = self.report_held_until.max(now);
        self.unreported(at).map(|_| at)
    }

    /// The registry was told `delivery` of this incarnation.
    pub fn reported(&mut self, delivery: (Delivery, Option<String>)) -> Vec<Write> {
        match self.open().cloned() {
            Some(config) => self.put_config(Config { reported: delivery, ..config }),
            None => Vec::new(),
        }
    }
}
