//! Wire types of a repo's configuration.

use crate::Repo;
use crate::body::body;
use crate::webhook::Secret;
use crate::wire_enum::wire_enum;
use serde::{Deserialize, Serialize};

/// Spawn requests per minute, unless the configuration sets another limit.
pub const DEFAULT_SPAWNS_PER_MINUTE: u32 = 10;
/// Workers pending and in progress, unless the configuration sets another limit.
pub const DEFAULT_MAX_WORKERS: u32 = 10;
/// The highest value of both limits.
pub const LIMIT_MAX: i64 = 10_000;
/// Entries of `remote_agents`.
pub(crate) const REMOTE_AGENTS_MAX: usize = 32;

wire_enum!(
    /// When the bridges encrypt messages end to end.
    Encrypt {
        /// Refuse to send if the recipient's key is not known.
        Always = "always",
        /// Encrypt if the recipient's key is known.
        WhenPossible = "when-possible",
    }
);

/// A repo's configuration.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HybridConfig {
    /// `owner/repo`.
    pub repo: Repo,
    /// Is hybrid mode on?
    pub enabled: bool,
    /// Agent types that run remotely.
    pub remote_agents: Vec<String>,
    /// The URL that spawn requests are pushed to; empty for claiming only.
    pub spawn_endpoint: String,
    /// Signs those pushes and their callbacks; for service and admin tokens.
    pub webhook_secret: Option<String>,
    /// Spawn requests allowed per minute.
    pub max_spawns_per_minute: u32,
    /// Workers that may be pending or in progress together.
    pub max_workers: u32,
    /// When the bridges encrypt; never, if absent.
    pub encrypt: Option<Encrypt>,
}

impl HybridConfig {
    /// The configuration of a repo that was never configured.
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

body! {
    /// The whole configuration. Absent fields get their defaults, except `webhook_secret`,
    /// which stays.
    pub struct ConfigWish {
        /// Is hybrid mode on?
        pub enabled: bool = flag(),
        /// Agent types that run remotely.
        pub remote_agents: Vec<String> = with_default(Vec::new(), list(REMOTE_AGENTS_MAX, word(AGENT_TYPE))),
        /// The URL that spawn requests are pushed to; empty for claiming only.
        pub spawn_endpoint: Option<String> = optional_or_empty(url()),
        /// Signs those pushes and their callbacks; generated if there is a `spawn_endpoint`
        /// and none yet.
        pub webhook_secret: Option<Secret> = optional_or_empty(WebhookSecret),
        /// Spawn requests allowed per minute.
        pub max_spawns_per_minute: u32 = with_default(DEFAULT_SPAWNS_PER_MINUTE, integer(0..=LIMIT_MAX)),
        /// Workers that may be pending or in progress together.
        pub max_workers: u32 = with_default(DEFAULT_MAX_WORKERS, integer(0..=LIMIT_MAX)),
        /// When the bridges encrypt; never, if absent.
        pub encrypt: Option<Encrypt> = optional(parsed()),
    }
}

impl From<HybridConfig> for ConfigWish {
    /// The same configuration; the secret stays as it is.
    fn from(config: HybridConfig) -> Self {
        Self {
            enabled: config.enabled,
            remote_agents: config.remote_agents,
            spawn_endpoint: Some(config.spawn_endpoint).filter(|url| !url.is_empty()),
            webhook_secret: None,
            max_spawns_per_minute: config.max_spawns_per_minute,
            max_workers: config.max_workers,
            encrypt: config.encrypt,
        }
    }
}

impl ConfigWish {
    /// The configuration to store for `repo`, without a secret.
    pub fn into_config(self, repo: Repo) -> HybridConfig {
        HybridConfig {
            repo,
            enabled: self.enabled,
            remote_agents: self.remote_agents,
            spawn_endpoint: self.spawn_endpoint.unwrap_or_default(),
            webhook_secret: None,
            max_spawns_per_minute: self.max_spawns_per_minute,
            max_workers: self.max_workers,
            encrypt: self.encrypt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read;
    use serde_json::json;

    #[test]
    fn what_is_absent_has_its_default() {
        let wish: ConfigWish = read(&json!({})).unwrap();
        let repo = Repo::parse("acme/app").unwrap();
        assert_eq!(wish.into_config(repo.clone()), HybridConfig::default_of(repo));
    }

    #[test]
    fn every_bad_field_is_named() {
        let faults = read::<ConfigWish>(&json!({
            "enabled": "yes", "remote_agents": ["a b"], "max_workers": -1,
            "max_spawns_per_minute": 10_001, "encrypt": "never", "webhook_secret": "x",
        }))
        .unwrap_err();
        let wanted = [
            "enabled",
            "remote_agents.0",
            "webhook_secret",
            "max_spawns_per_minute",
            "max_workers",
            "encrypt",
        ];
        assert_eq!(faults, wanted);
    }
}
