//! Webhook secrets, sealed at rest. Each is bound to its place: a row that was moved elsewhere
//! does not open.

use crate::error::ApiError;
use crate::random;
use multiclaude_hybrid_core::seal::{KeyRing, SealError};
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentId, Repo};

/// Seals and opens the webhook secrets of one place.
#[derive(Debug)]
pub struct Vault<'a> {
    keys: &'a KeyRing,
    place: String,
}

impl<'a> Vault<'a> {
    /// For an agent's endpoint, in the mailbox of this name.
    pub fn of_agent(keys: &'a KeyRing, mailbox: &str, agent: &AgentId) -> Self {
        Self { keys, place: format!("{mailbox}|{agent}|webhook_secret") }
    }

    /// For a repo's `spawn_endpoint` and callbacks, in its configuration.
    pub fn of_repo(keys: &'a KeyRing, repo: &Repo) -> Self {
        Self { keys, place: format!("{repo}|config|webhook_secret") }
    }

    /// Seals a secret.
    pub fn seal(&self, secret: &Secret) -> Result<String, ApiError> {
        let sealed = self.keys.seal(secret.as_bytes(), &self.place, random::bytes()?);
        sealed.map_err(ApiError::internal)
    }

    /// Opens a sealed secret: microseconds, so nothing is kept in memory.
    pub fn open(&self, sealed: &str) -> Result<Secret, SealError> {
        self.keys.open(sealed, &self.place).map(Secret::from_bytes)
    }
}
