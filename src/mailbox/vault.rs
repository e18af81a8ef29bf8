//! Webhook secrets: sealed in the configuration row, opened once in memory.

use super::Refused;
use crate::random;
use multiclaude_hybrid_core::seal::KeyRing;
use multiclaude_hybrid_protocol::AgentId;
use multiclaude_hybrid_protocol::webhook::Secret;
use std::cell::RefCell;
use std::collections::HashMap;

/// Opens and seals the secrets of one mailbox.
#[derive(Debug)]
pub struct Vault {
    mailbox: String,
    opened: RefCell<HashMap<String, Secret>>,
}

impl Vault {
    /// The vault of the mailbox with this name.
    pub fn new(mailbox: String) -> Self {
        Self { mailbox, opened: RefCell::new(HashMap::new()) }
    }

    /// The place that a sealed secret is bound to: mailbox, incarnation and field.
    fn place(&self, agent: &AgentId) -> String {
        format!("{}|{agent}|webhook_secret", self.mailbox)
    }

    /// Seals `secret` for this incarnation.
    pub fn seal(
        &self,
        keys: &KeyRing,
        agent: &AgentId,
        secret: &Secret,
    ) -> Result<String, Refused> {
        let nonce = random::bytes().map_err(Refused::broken)?;
        Ok(keys.seal(secret.as_bytes(), &self.place(agent), nonce)?)
    }

    /// Opens a sealed secret, from memory after the first time.
    pub fn open(&self, keys: &KeyRing, agent: &AgentId, sealed: &str) -> Result<Secret, Refused> {
        if let Some(secret) = self.opened.borrow().get(sealed) {
            return Ok(secret.clone());
        }
        let secret = Secret::from_bytes(keys.open(sealed, &self.place(agent))?);
        self.opened.borrow_mut().insert(sealed.to_owned(), secret.clone());
        Ok(secret)
    }

    /// Forgets all opened secrets; those that are still used are opened again.
    pub fn forget(&self) {
        self.opened.borrow_mut().clear();
    }
}
