//! The table `configs`.

use super::audit::{self, Entry};
use super::db::{Db, binds};
use crate::error::ApiError;
use crate::vault::Vault;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::seal::KeyRing;
use multiclaude_hybrid_core::secrets::HeldSecret;
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::config::{Encrypt, HybridConfig};
use multiclaude_hybrid_protocol::webhook::Secret;
use serde::Deserialize;

/// A repo's configuration as stored; its secrets are sealed.
#[derive(Debug, Clone, Deserialize)]
pub struct Stored {
    /// The fields that are shown, without a secret.
    pub config: HybridConfig,
    /// The number in the `ETag`; 0 if nothing is stored.
    pub version: u32,
    /// The newest secret first.
    pub secrets: Vec<HeldSecret>,
}

impl Stored {
    /// The newest secret, if it can be opened.
    pub fn newest_secret(&self, keys: &KeyRing) -> Option<Secret> {
        let newest = self.secrets.first()?;
        Vault::of_repo(keys, &self.config.repo).open(&newest.sealed).ok()
    }
}

/// The configuration of a repo, or the defaults.
pub async fn get(db: &Db, repo: &Repo) -> Result<Stored, ApiError> {
    let sql = "SELECT json_object('version', version, 'secrets', json(secrets), \
         'config', json_object('repo', repo, 'enabled', json(iif(enabled, 'true', 'false')), \
           'remote_agents', json(remote_agents), 'spawn_endpoint', spawn_endpoint, \
           'max_spawns_per_minute', max_spawns_per_minute, 'max_workers', max_workers, \
           'encrypt', encrypt)) AS row FROM configs WHERE repo = ?1";
    let found = db.first(sql, &binds! { repo.as_str() }).await?;
    Ok(found.unwrap_or_else(|| Stored {
        config: HybridConfig::default_of(repo.clone()),
        version: 0,
        secrets: Vec::new(),
    }))
}

/// Writes `next` if the version is still `before`; `false` if another change was faster.
pub async fn replace(
    db: &Db,
    before: u32,
    next: &Stored,
    now: Ms,
    entry: &Entry,
) -> Result<bool, ApiError> {
    let sql = "INSERT INTO configs (repo, version, enabled, remote_agents, spawn_endpoint, secrets, \
         max_spawns_per_minute, max_workers, encrypt, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (repo) DO UPDATE SET version = excluded.version, enabled = excluded.enabled, \
         remote_agents = excluded.remote_agents, spawn_endpoint = excluded.spawn_endpoint, \
         secrets = excluded.secrets, max_spawns_per_minute = excluded.max_spawns_per_minute, \
         max_workers = excluded.max_workers, encrypt = excluded.encrypt, \
         updated_at = excluded.updated_at WHERE configs.version = ?11 RETURNING '1' AS row";
    let config = &next.config;
    let change = db.prepare(
        sql,
        &binds! {
            config.repo.as_str(), next.version, config.enabled,
            &serde_json::to_string(&config.remote_agents)?, &config.spawn_endpoint,
            &serde_json::to_string(&next.secrets)?, config.max_spawns_per_minute,
            config.max_workers, config.encrypt.map(Encrypt::as_str), now, before,
        },
    )?;
    audit::execute_recorded(db, change, Some(entry)).await
}

/// Repos whose configuration is not confirmed by the mailbox that pushes.
pub async fn unconfirmed(db: &Db, repo: Option<&Repo>, limit: u32) -> Result<Vec<Repo>, ApiError> {
    let sql = "SELECT json_group_array(repo) AS row FROM (SELECT repo FROM configs \
         WHERE version <> pushing_version AND (?1 IS NULL OR repo = ?1) ORDER BY random() LIMIT ?2)";
    let binds = binds! { repo.map(Repo::as_str), limit };
    Ok(db.first(sql, &binds).await?.unwrap_or_default())
}

/// Notes that the mailbox that pushes has this version.
pub async fn confirmed(db: &Db, repo: &Repo, version: u32) -> Result<(), ApiError> {
    let sql = "UPDATE configs SET pushing_version = ?2 WHERE repo = ?1 AND pushing_version < ?2";
    db.execute(sql, &binds! { repo.as_str(), version }).await
}
