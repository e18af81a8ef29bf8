//! End-to-end encryption of what the bridge carries: the client's decisions,
//! with this machine's keys.

use crate::registry::Registry;
use crate::setup::Machine;
use crate::spool::locked;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::config::Encrypt;
use multiclaude_hybrid_client::protocol::message::{Message, NewMessage};
use multiclaude_hybrid_client::sealed::{self, Action, Recipient};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tracing::warn;

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
    /// For the messages of `repo`; `require`: none may leave unencrypted.
    pub fn new(machine: Arc<dyn Machine>, repo: Repo, require: bool) -> Self {
        Self { machine, repo, require, warned: Mutex::default() }
    }

    /// A message as it is to leave, by the shared configuration that `registry`
    /// has read.
    ///
    /// # Errors
    /// It must not leave; a text for its sender.
    pub fn seal(&self, message: NewMessage, registry: &Registry) -> Result<NewMessage, String> {
        let read = registry.read();
        let policy = if self.require {
            Some(Encrypt::Always)
        } else {
            read.config.and_then(|config| config.encrypt)
        };
        let pins = self.machine.pins()?;
        let agent = read.agents.iter().find(|agent| agent.name == message.to);
        let published = match agent.map(|agent| Recipient::published(&agent.metadata)) {
            None => None,
            Some(published) => published.map_err(|error| {
                format!("{} publishes a key that is not valid: {error}", message.to)
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
            self.machine.pin(&self.repo, &message.to, first)?;
        }
        match decision.action {
            Action::Plain => Ok(message),
            Action::Encrypt(recipient) => {
                sealed::seal(&message, &self.repo, &recipient).map_err(|error| error.to_string())
            }
            Action::Refuse(refusal) => Err(refusal.to_string()),
        }
    }

    /// The text of a message; why it cannot be read, in place of it, if so.
    pub fn open(&self, message: &Message) -> String {
        if !sealed::is_sealed(message) {
            return message.body.clone();
        }
        let opened = self
            .machine
            .identities()
            .and_then(|keys| sealed::open(message, &keys).map_err(|error| error.to_string()));
        match opened {
            Ok(opened) if opened.message.repo == self.repo => opened.message.body,
            Ok(_) => {
                "(This encrypted message says that it is of another repo, so it is not shown.)"
                    .to_owned()
            }
            Err(reason) => format!(
                "(This message is encrypted and cannot be read here: {reason}. Ask {} to send it again, \
                 or check this machine's key: multiclaude-hybrid doctor)",
                message.from
            ),
        }
    }
}
