//! Trust on first use. Pure: the caller stores the pins.

use super::keys::Recipient;
use multiclaude_hybrid_protocol::config::Encrypt;
use multiclaude_hybrid_protocol::{AgentName, Repo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which recipient is trusted for which agent.
///
/// Its JSON is a map: `{"acme/app/queue": "age1…"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(BTreeMap<String, Recipient>);

/// The key that an agent publishes, compared with the one that is trusted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinState {
    /// It publishes none, and none is trusted.
    Absent,
    /// It publishes one for the first time.
    First(Recipient),
    /// It publishes the trusted one.
    Same(Recipient),
    /// It publishes another one than the trusted one.
    Changed {
        /// The trusted key.
        old: Recipient,
        /// The published key.
        new: Recipient,
    },
    /// It no longer publishes this trusted one, nor another.
    Gone(Recipient),
}

fn key(repo: &Repo, agent: &AgentName) -> String {
    format!("{repo}/{agent}")
}

impl Pins {
    /// Compares the key that an agent publishes with the one that is trusted for it.
    pub fn check(&self, repo: &Repo, agent: &AgentName, published: Option<&Recipient>) -> PinState {
        match (self.0.get(&key(repo, agent)).cloned(), published.cloned()) {
            (None, None) => PinState::Absent,
            (None, Some(new)) => PinState::First(new),
            (Some(old), None) => PinState::Gone(old),
            (Some(old), Some(new)) if old == new => PinState::Same(new),
            (Some(old), Some(new)) => PinState::Changed { old, new },
        }
    }

    /// Trusts this recipient from now on, instead of an older one.
    pub fn trust(&mut self, repo: &Repo, agent: &AgentName, recipient: Recipient) {
        self.0.insert(key(repo, agent), recipient);
    }

    /// Trusts no recipient of this agent: the next one is the first. Returns the one that
    /// was trusted.
    pub fn forget(&mut self, repo: &Repo, agent: &AgentName) -> Option<Recipient> {
        self.0.remove(&key(repo, agent))
    }

    /// Each `owner/repo/agent` with its recipient.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Recipient)> {
        self.0.iter().map(|(key, pin)| (key.as_str(), pin))
    }
}

/// How to send a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Seal it for this recipient.
    Encrypt(Recipient),
    /// Send it unencrypted.
    Plain,
    /// Do not send it, for this reason.
    Refuse(Refusal),
}

/// Why a message must not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The recipient has published no key.
    #[error(
        "the recipient publishes no age recipient, and this repo's messages are always encrypted: let it run a bridge that publishes one"
    )]
    NoRecipient,
    /// The published key is not the trusted one.
    #[error(
        "the recipient's key has changed from {old} to {new}: compare the new one with its owner over another channel, then trust it"
    )]
    Changed {
        /// The trusted key.
        old: Recipient,
        /// The published key.
        new: Recipient,
    },
    /// The trusted key is no longer published.
    #[error(
        "the recipient no longer publishes its key {0}: ask its owner why, then forget it, or wait until it is back"
    )]
    Gone(Recipient),
}

/// A warning about a message that is sent nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// It is encrypted for a key that is not trusted yet.
    #[error(
        "the recipient's key has changed from {old} to {new}, and the message is encrypted for the new one: compare it with its owner over another channel, then trust it"
    )]
    Changed {
        /// The trusted key.
        old: Recipient,
        /// The published key.
        new: Recipient,
    },
    /// It is unencrypted, since the configuration no longer asks for encryption.
    #[error(
        "messages to the recipient were encrypted for {0} before, and the configuration no longer asks for that: this one is not encrypted"
    )]
    Off(Recipient),
    /// It is unencrypted, since the recipient no longer publishes a key.
    #[error("the recipient no longer publishes its key {0}: the message is not encrypted")]
    Gone(Recipient),
}

/// The result of [`decide`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// How to send the message.
    pub action: Action,
    /// A warning for a person.
    pub warning: Option<Warning>,
    /// A key to trust from now on ([`Pins::trust`]): it is used for the first time.
    pub pin: Option<Recipient>,
}

impl From<Action> for Decision {
    fn from(action: Action) -> Self {
        Self { action, warning: None, pin: None }
    }
}

/// Decides whether a message is encrypted, and for which key. Without a policy it is not;
/// if messages were encrypted before, a warning says so, because the policy may have been
/// removed by somebody who controls the configuration.
pub fn decide(policy: Option<Encrypt>, state: &PinState) -> Decision {
    match (policy, state.clone()) {
        (None, PinState::Absent | PinState::First(_))
        | (Some(Encrypt::WhenPossible), PinState::Absent) => Action::Plain.into(),
        (None, PinState::Same(old) | PinState::Changed { old, .. } | PinState::Gone(old)) => {
            Decision { warning: Some(Warning::Off(old)), ..Action::Plain.into() }
        }
        (Some(_), PinState::Same(recipient)) => Action::Encrypt(recipient).into(),
        (Some(_), PinState::First(recipient)) => {
            Decision { pin: Some(recipient.clone()), ..Action::Encrypt(recipient).into() }
        }
        (Some(Encrypt::Always), PinState::Absent) => Action::Refuse(Refusal::NoRecipient).into(),
        (Some(Encrypt::Always), PinState::Changed { old, new }) => {
            Action::Refuse(Refusal::Changed { old, new }).into()
        }
        (Some(Encrypt::Always), PinState::Gone(old)) => Action::Refuse(Refusal::Gone(old)).into(),
        (Some(Encrypt::WhenPossible), PinState::Changed { old, new }) => Decision {
            warning: Some(Warning::Changed { old, new: new.clone() }),
            ..Action::Encrypt(new).into()
        },
        (Some(Encrypt::WhenPossible), PinState::Gone(old)) => {
            Decision { warning: Some(Warning::Gone(old)), ..Action::Plain.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::*;
    use Encrypt::{Always, WhenPossible};

    fn recipient() -> Recipient {
        Identity::generate().recipient()
    }

    fn place() -> (Repo, AgentName) {
        let agent = AgentName::parse("queue").unwrap();
        (Repo::parse("acme/app").unwrap(), agent)
    }

    #[test]
    fn a_recipient_is_first_then_the_same_until_it_changes_or_goes() {
        let ((repo, agent), mut pins) = (place(), Pins::default());
        let (old, new) = (recipient(), recipient());
        assert_eq!(pins.check(&repo, &agent, None), PinState::Absent);
        let first = pins.check(&repo, &agent, Some(&old));
        assert_eq!(first, PinState::First(old.clone()));
        pins.trust(&repo, &agent, old.clone());
        let same = pins.check(&repo, &agent, Some(&old));
        assert_eq!(same, PinState::Same(old.clone()));
        assert_eq!(pins.check(&repo, &agent, None), PinState::Gone(old.clone()));
        let changed = pins.check(&repo, &agent, Some(&new));
        assert_eq!(changed, PinState::Changed { old: old.clone(), new: new.clone() });
        let elsewhere = Repo::parse("acme/other").unwrap();
        let other = pins.check(&elsewhere, &agent, Some(&new));
        assert_eq!(other, PinState::First(new.clone()));
        assert_eq!(pins.forget(&repo, &agent), Some(old));
        let first = pins.check(&repo, &agent, Some(&new));
        assert_eq!(first, PinState::First(new));
    }

    #[test]
    fn pins_are_a_map_in_json_and_a_wrong_key_in_it_is_refused() {
        let ((repo, agent), mut pins) = (place(), Pins::default());
        let pin = recipient();
        pins.trust(&repo, &agent, pin.clone());
        let json = serde_json::to_value(&pins).unwrap();
        assert_eq!(json, serde_json::json!({"acme/app/queue": pin.to_string()}));
        assert_eq!(serde_json::from_value::<Pins>(json).unwrap(), pins);
        assert_eq!(pins.iter().collect::<Vec<_>>(), [("acme/app/queue", &pin)]);
        let wrong = serde_json::json!({"acme/app/queue": "age1"});
        assert!(serde_json::from_value::<Pins>(wrong).is_err());
    }

    #[test]
    fn the_table_of_decisions() {
        let (old, new) = (recipient(), recipient());
        let first = PinState::First(new.clone());
        let same = PinState::Same(new.clone());
        let gone = PinState::Gone(old.clone());
        let changed = PinState::Changed { old: old.clone(), new: new.clone() };
        let encrypt = || Decision::from(Action::Encrypt(new.clone()));
        let refuse = |why| Decision::from(Action::Refuse(why));
        let plain = || Decision::from(Action::Plain);

        for state in [&PinState::Absent, &first] {
            assert_eq!(decide(None, state), plain());
        }
        for (state, known) in [(&same, &new), (&changed, &old), (&gone, &old)] {
            let warning = Some(Warning::Off(known.clone()));
            assert_eq!(decide(None, state), Decision { warning, ..plain() });
        }
        for policy in [Always, WhenPossible] {
            assert_eq!(decide(Some(policy), &same), encrypt());
            let pin = Some(new.clone());
            assert_eq!(decide(Some(policy), &first), Decision { pin, ..encrypt() });
        }
        let always = |state| decide(Some(Always), state);
        assert_eq!(always(&PinState::Absent), refuse(Refusal::NoRecipient));
        let why = Refusal::Changed { old: old.clone(), new: new.clone() };
        assert_eq!(always(&changed), refuse(why));
        assert_eq!(always(&gone), refuse(Refusal::Gone(old.clone())));

        let possible = |state| decide(Some(WhenPossible), state);
        assert_eq!(possible(&PinState::Absent), plain());
        let warning = Some(Warning::Changed { old: old.clone(), new: new.clone() });
        assert_eq!(possible(&changed), Decision { warning, ..encrypt() });
        let warning = Some(Warning::Gone(old));
        assert_eq!(possible(&gone), Decision { warning, ..plain() });
    }
}
