//! Trust on first use. Pure: where pins are kept is the caller's affair.

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

/// What an agent publishes, beside what is trusted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinState {
    /// It publishes none, and never has.
    Absent,
    /// It publishes one for the first time.
    First(Recipient),
    /// It publishes the one that is trusted.
    Same(Recipient),
    /// It publishes another one.
    Changed {
        /// The one that is trusted.
        old: Recipient,
        /// The one that is published.
        new: Recipient,
    },
    /// It publishes none any more.
    Gone {
        /// The one that is trusted.
        old: Recipient,
    },
}

fn key(repo: &Repo, agent: &AgentName) -> String {
    format!("{repo}/{agent}")
}

impl Pins {
    /// Compares what an agent publishes with what is trusted for it.
    pub fn check(&self, repo: &Repo, agent: &AgentName, published: Option<&Recipient>) -> PinState {
        match (self.0.get(&key(repo, agent)).cloned(), published.cloned()) {
            (None, None) => PinState::Absent,
            (None, Some(new)) => PinState::First(new),
            (Some(old), None) => PinState::Gone { old },
            (Some(old), Some(new)) if old == new => PinState::Same(new),
            (Some(old), Some(new)) => PinState::Changed { old, new },
        }
    }

    /// Trusts a recipient from now on, in place of an older one.
    pub fn trust(&mut self, repo: &Repo, agent: &AgentName, recipient: Recipient) {
        self.0.insert(key(repo, agent), recipient);
    }

    /// Trusts none: the next one is the first. Answers the one that was trusted.
    pub fn forget(&mut self, repo: &Repo, agent: &AgentName) -> Option<Recipient> {
        self.0.remove(&key(repo, agent))
    }

    /// Each `owner/repo/agent` with its recipient.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Recipient)> {
        self.0.iter().map(|(key, pin)| (key.as_str(), pin))
    }
}

/// What is to be done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Seal it for this one.
    Encrypt(Recipient),
    /// Send it as it is.
    Plain,
    /// Do not send it.
    Refuse(Refusal),
}

/// Why a message must not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no key to encrypt it with.
    #[error(
        "the recipient publishes no age recipient, and this repo's messages are always encrypted: let it run a bridge that publishes one"
    )]
    NoRecipient,
    /// It is not the key that is trusted.
    #[error(
        "the recipient's key has changed from {old} to {new}: compare the new one with its owner over another channel, then trust it"
    )]
    Changed {
        /// The one that is trusted.
        old: Recipient,
        /// The one that is published.
        new: Recipient,
    },
    /// The key is no longer published.
    #[error(
        "the recipient no longer publishes its key {old}: ask its owner why, then forget it, or wait until it is back"
    )]
    Gone {
        /// The one that is trusted.
        old: Recipient,
    },
}

/// What a person should know of a message that is sent all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// It goes to a key that nobody has trusted yet.
    #[error(
        "the recipient's key has changed from {old} to {new}, and the message is encrypted for the new one: compare it with its owner over another channel, then trust it"
    )]
    Changed {
        /// The one that is trusted.
        old: Recipient,
        /// The one that is published.
        new: Recipient,
    },
    /// It goes unencrypted, since nobody asks for more any longer.
    #[error(
        "messages to the recipient were encrypted for {old} before, and the configuration no longer asks for that: this one is not encrypted"
    )]
    Off {
        /// The one that is trusted.
        old: Recipient,
    },
    /// It goes unencrypted, where it did not before.
    #[error("the recipient no longer publishes its key {old}: the message is not encrypted")]
    Gone {
        /// The one that is trusted.
        old: Recipient,
    },
}

/// What [`decide`] decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// What a person is to be told, each time.
    pub warning: Option<Warning>,
    /// To be trusted from now on ([`Pins::trust`]): it was used first.
    pub pin: Option<Recipient>,
}

impl From<Action> for Decision {
    fn from(action: Action) -> Self {
        Self { action, warning: None, pin: None }
    }
}

/// Is a message to be encrypted, and for whom? Without a policy, never; but who
/// controls the configuration could have taken it away.
pub fn decide(policy: Option<Encrypt>, state: &PinState) -> Decision {
    let state = state.clone();
    let Some(policy) = policy else {
        let warning = match state {
            PinState::Absent | PinState::First(_) => None,
            PinState::Same(old) | PinState::Changed { old, .. } | PinState::Gone { old } => {
                Some(Warning::Off { old })
            }
        };
        return Decision { warning, ..Action::Plain.into() };
    };
    match (policy, state) {
        (_, PinState::Same(recipient)) => Action::Encrypt(recipient).into(),
        (_, PinState::First(recipient)) => Decision {
            action: Action::Encrypt(recipient.clone()),
            warning: None,
            pin: Some(recipient),
        },
        (Encrypt::Always, PinState::Absent) => Action::Refuse(Refusal::NoRecipient).into(),
        (Encrypt::Always, PinState::Changed { old, new }) => {
            Action::Refuse(Refusal::Changed { old, new }).into()
        }
        (Encrypt::Always, PinState::Gone { old }) => Action::Refuse(Refusal::Gone { old }).into(),
        (Encrypt::WhenPossible, PinState::Absent) => Action::Plain.into(),
        (Encrypt::WhenPossible, PinState::Changed { old, new }) => Decision {
            action: Action::Encrypt(new.clone()),
            warning: Some(Warning::Changed { old, new }),
            pin: None,
        },
        (Encrypt::WhenPossible, PinState::Gone { old }) => {
            Decision { action: Action::Plain, warning: Some(Warning::Gone { old }), pin: None }
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
        let gone = PinState::Gone { old: old.clone() };
        assert_eq!(pins.check(&repo, &agent, None), gone);
        let changed = pins.check(&repo, &agent, Some(&new));
        let old_and_new = (old.clone(), new.clone());
        assert_eq!(changed, PinState::Changed { old: old_and_new.0, new: old_and_new.1 });
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
        let gone = PinState::Gone { old: old.clone() };
        let changed = PinState::Changed { old: old.clone(), new: new.clone() };
        let encrypt = || Decision::from(Action::Encrypt(new.clone()));
        let refuse = |why| Decision::from(Action::Refuse(why));
        let plain = || Decision::from(Action::Plain);

        for state in [&PinState::Absent, &first] {
            assert_eq!(decide(None, state), plain());
        }
        for (state, known) in [(&same, &new), (&changed, &old), (&gone, &old)] {
            let old = known.clone();
            let warning = Some(Warning::Off { old });
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
        assert_eq!(always(&gone), refuse(Refusal::Gone { old: old.clone() }));

        let possible = |state| decide(Some(WhenPossible), state);
        assert_eq!(possible(&PinState::Absent), plain());
        let warning = Some(Warning::Changed { old: old.clone(), new: new.clone() });
        assert_eq!(possible(&changed), Decision { warning, ..encrypt() });
        let warning = Some(Warning::Gone { old });
        assert_eq!(possible(&gone), Decision { warning, ..plain() });
    }
}
