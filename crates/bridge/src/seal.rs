//! End-to-end encryption of the bridge's messages: the client's decisions with this
//! machine's keys.

use crate::lock::locked;
use crate::registry::{Registry, unregistered};
use crate::setup::Machine;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::config::Encrypt;
use multiclaude_hybrid_client::protocol::message::{Message, NewMessage};
use multiclaude_hybrid_client::protocol::{AgentName, Repo};
use multiclaude_hybrid_client::sealed::{self, Action, Recipient};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tracing::warn;

/// Why a message was not sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSealed {
    /// A file of this machine cannot be read or written now.
    Later(String),
    /// It must not be sent; the reason is for its sender.
    Refused(String),
}

/// Seals and opens the messages of one repo.
#[derive(Debug)]
pub struct Seal {
    machine: Arc<dyn Machine>,
    repo: Repo,
    require: bool,
    /// Warnings that were logged.
    warned: Mutex<BTreeSet<String>>,
}

impl Seal {
    /// For the messages of `repo`; with `require` none is sent unencrypted.
    pub fn new(machine: Arc<dyn Machine>, repo: Repo, require: bool) -> Self {
        Self { machine, repo, require, warned: Mutex::default() }
    }

    /// Is a key of the recipient needed, and none known?
    pub fn needs_key_of(&self, to: &AgentName, registry: &Registry) -> bool {
        let read = registry.read();
        let encrypts = self.require || read.config.is_some_and(|config| config.encrypt.is_some());
        let known = read.agents.iter().find(|agent| agent.name == *to);
        let has_key =
            |agent: &Agent| Recipient::published(&agent.metadata).is_ok_and(|key| key.is_some());
        encrypts && !known.is_some_and(has_key)
    }

    /// Seals a message, if the shared configuration that `registry` has read asks for it.
    ///
    /// # Errors
    /// See [`NotSealed`].
    pub fn seal(&self, message: NewMessage, registry: &Registry) -> Result<NewMessage, NotSealed> {
        let read = registry.read();
        let policy = if self.require {
            Some(Encrypt::Always)
        } else {
            read.config.and_then(|config| config.encrypt)
        };
        let pins = self.machine.pins().map_err(NotSealed::Later)?;
        let agent = read.agents.iter().find(|agent| agent.name == message.to);
        let published = match agent.map(|agent| Recipient::published(&agent.metadata)) {
            None => None,
            Some(published) => published.map_err(|error| {
                NotSealed::Refused(format!(
                    "{} publishes a key that is not valid: {error}",
                    message.to
                ))
            })?,
        };
        let published = published.filter(|_| policy.is_some());
        let decision =
            sealed::decide(policy, &pins.check(&self.repo, &message.to, published.as_ref()));
        if let Some(warning) = decision.warning {
            let text = format!("{}: {warning}", message.to);
            if locked(&self.warned).insert(text.clone()) {
                warn!(repo = %self.repo, warning = text, "encryption");
            }
        }
        if let Some(first) = decision.pin {
            self.machine.pin(&self.repo, &message.to, first).map_err(NotSealed::Later)?;
        }
        match decision.action {
            Action::Plain => Ok(message),
            Action::Encrypt(recipient) => {
                let sealed = sealed::seal(&message, &self.repo, &recipient);
                sealed.map_err(|error| NotSealed::Refused(error.to_string()))
            }
            Action::Refuse(_) if agent.is_none() => {
                Err(NotSealed::Refused(unregistered(&message.to)))
            }
            Action::Refuse(refusal) => Err(NotSealed::Refused(refusal.to_string())),
        }
    }

    /// The text of a message; if no key of this machine opens it, the reason instead.
    ///
    /// # Errors
    /// This machine's keys cannot be read now: try again later.
    pub fn open(&self, message: &Message) -> Result<String, String> {
        if !sealed::is_sealed(message) {
            return Ok(message.body.clone());
        }
        let keys = self.machine.identities()?;
        Ok(match sealed::open(message, &keys) {
            Ok(opened) if opened.repo == self.repo => opened.body,
            Ok(_) => {
                "(This encrypted message belongs to another repo, so it is not shown.)".to_owned()
            }
            Err(reason) => format!(
                "(This message is encrypted and cannot be read here: {reason}. Ask {} to send it again, or check \
                 this machine's key: multiclaude-hybrid doctor)",
                message.from
            ),
        })
    }
}
