//! Wire types of a repo's configuration.

use crate::Repo;
use crate::agent::{ENDPOINT_MAX, wire_enum};
use crate::error::FieldError;
use crate::fields::Fields;
use crate::webhook::Secret;
use serde::{Deserialize, Serialize};

/// Spawn requests a minute, unless the configuration says otherwise.
pub const DEFAULT_SPAWNS_PER_MINUTE: u32 = 10;
/// Workers pending and in progress, unless the configuration says otherwise.
pub const DEFAULT_MAX_WORKERS: u32 = 10;
/// The most that either limit can be set to.
pub const LIMIT_MAX: i64 = 10_000;
/// Entries of `remote_agents`.
pub(crate) const REMOTE_AGENTS_MAX: usize = 32;

wire_enum!(
    /// When the bridges encrypt messages end to end.
    Encrypt {
        /// Refuse to send where the recipient's key is not known.
        Always = "always",
        /// Where the recipient's key is known.
        WhenPossible = "when-possible",
    }
);

/// A repo's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HybridConfig {
    /// `owner/repo`.
    pub repo: Repo,
    /// Is hybrid mode on?
    pub enabled: bool,
    /// Agent types that run remotely.
    pub remote_agents: Vec<String>,
    /// Where spawn requests are pushed to; empty for claiming only.
    pub spawn_endpoint: String,
    /// Signs those pushes and their callbacks; for service and admin tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// Spawn requests that a minute may bring.
    pub max_spawns_per_minute: u32,
    /// Workers that may be pending or in progress together.
    pub max_workers: u32,
    /// When the bridges encrypt; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<Encrypt>,
}

impl HybridConfig {
    /// What a repo has before anybody configures it.
    pub fn default_of(repo: Repo) -> Self {
        Self {
            repo,
            enabled: false,
            remote_agents: Vec::new(),
            spawn_endpoint: String::new(),
            webhook_secret: None,
            max_spawns_per_minute: DEFAULT_SPAWNS_PER_MINUTE,
            max_workers: DEFAULT_MAX_WORKERS,
            encrypt: None,
        }
    }
}

/// `PUT …/config`: replaces everything but an absent `webhook_secret`.
#[derive(Debug)]
pub struct ConfigWish {
    /// The new configuration; `webhook_secret` is not in it.
    pub config: HybridConfig,
    /// The new secret.
    pub webhook_secret: Option<Secret>,
}

fn agent_type(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("must be an agent type, 1 to 64 of A-Z, a-z, 0-9, - and _")
    }
}

impl From<HybridConfig> for ConfigWish {
    /// The same configuration; the secret stays as it is.
    fn from(config: HybridConfig) -> Self {
        let config = HybridConfig { webhook_secret: None, ..config };
        Self { config, webhook_secret: None }
    }
}

impl Serialize for ConfigWish {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let config = HybridConfig {
            webhook_secret: self.webhook_secret.as_ref().map(Secret::reveal),
            ..self.config.clone()
        };
        config.serialize(serializer)
    }
}

impl ConfigWish {
    /// Reads the body of `PUT …/config`.
    pub fn from_fields(mut fields: Fields, repo: Repo) -> Result<Self, Vec<FieldError>> {
        let limit = |found: Option<i64>, usual: u32| found.map_or(usual, |limit| limit as u32);
        let config = HybridConfig {
            repo,
            enabled: fields.boolean("enabled").unwrap_or(false),
            remote_agents: fields.list("remote_agents", agent_type).unwrap_or_default(),
            spawn_endpoint: fields.text("spawn_endpoint").unwrap_or_default(),
            webhook_secret: None,
            max_spawns_per_minute: limit(
                fields.integer("max_spawns_per_minute", 0..=LIMIT_MAX),
                DEFAULT_SPAWNS_PER_MINUTE,
            ),
            max_workers: limit(fields.integer("max_workers", 0..=LIMIT_MAX), DEFAULT_MAX_WORKERS),
            encrypt: fields.parsed("encrypt", Encrypt::parse),
        };
        if config.remote_agents.len() > REMOTE_AGENTS_MAX {
            fields.fault("remote_agents", "has more than 32 entries");
        }
        if config.spawn_endpoint.len() > ENDPOINT_MAX {
            fields.fault("spawn_endpoint", "is longer than 2048 bytes");
        }
        let given = fields.text("webhook_secret").filter(|text| !text.is_empty());
        let webhook_secret = given.and_then(|text| match Secret::parse(&text) {
            Ok(secret) => Some(secret),
            Err(error) => {
                fields.fault("webhook_secret", error);
                None
            }
        });
        fields.finish(Some(Self { config, webhook_secret }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &serde_json::Value) -> Result<ConfigWish, Vec<FieldError>> {
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        ConfigWish::from_fields(fields, Repo::parse("acme/app").unwrap())
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let wish = read(&serde_json::json!({})).unwrap();
        let repo = Repo::parse("acme/app").unwrap();
        assert_eq!(wish.config, HybridConfig::default_of(repo));
    }

    #[test]
    fn every_bad_field_is_named() {
        let faults = read(&serde_json::json!({
            "enabled": "yes", "remote_agents": ["a b"], "max_workers": -1,
            "max_spawns_per_minute": 10_001, "encrypt": "never", "webhook_secret": "x",
        }))
        .unwrap_err();
        let names: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        let wanted = [
            "enabled",
            "remote_agents.0",
            "max_spawns_per_minute",
            "max_workers",
            "encrypt",
            "webhook_secret",
        ];
        assert_eq!(names, wanted);
    }
}
