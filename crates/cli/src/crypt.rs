//! End-to-end encryption: the client's decisions, with this machine's key and
//! the known keys of others on disk.
//!
//! The key is made when it is first needed and kept like a token. Agents that
//! this program registers publish its public half in their metadata.

mod sent;

use crate::failure::{Exit, Failure, Outcome};
use crate::files::{read_json, write_json};
use crate::home::Home;
use crate::secrets::{self, Name};
use crate::session::{InRepo, Session};
use crate::settings::{Key, SecretStore, Settings};
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::config::Encrypt;
use multiclaude_hybrid_client::protocol::message::{Message, NewMessage};
use multiclaude_hybrid_client::protocol::{AgentName, Repo};
use multiclaude_hybrid_client::sealed::{self, Action, Identity, PinState, Pins, Recipient};
use serde::Serialize;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// A message as its reader is shown it.
#[derive(Debug, Serialize)]
pub struct Opened {
    /// With the text as it was written, if it could be read.
    #[serde(flatten)]
    pub message: Message,
    pub encrypted: bool,
    /// Did it come plain to a machine that requires encryption?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub should_be_encrypted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The other agents' keys, as first seen.
pub fn pins(home: &Home) -> Outcome<Pins> {
    let known = read_json(&home.pins(), |path| {
        format!(
            "fix it; or, if you trust the keys that are published now: mv {path} {path}.damaged"
        )
    });
    Ok(known?.unwrap_or_default())
}

/// Reads, changes and writes the known keys, one process at a time.
pub fn change_pins<T>(home: &Home, change: impl FnOnce(&mut Pins) -> T) -> Outcome<T> {
    let _lock = home.lock()?;
    let mut pins = pins(home)?;
    let result = change(&mut pins);
    write_json(&home.pins(), &pins)?;
    Ok(result)
}

/// The secret half of this machine's key, if it has one.
pub fn identity(session: &Session) -> Outcome<Option<Identity>> {
    let settings = Settings::load(&session.home)?;
    let Some(key) = settings.key else {
        return Ok(None);
    };
    let found = secrets::find(&session.home, &Name::key(&key.recipient), key.place)?;
    let text = found.ok_or_else(|| {
        let place = secrets::place_name(&session.home, key.place);
        Failure::new(format!("this machine's encryption key is no longer in {place}")).hint(
            "restore it; or remove \"key\" from ~/.multiclaude/hybrid/settings.json to have a new one \
             made, and register your agents again",
        )
    })?;
    let identity = Identity::parse(&text).map_err(|error| {
        Failure::new(format!("this machine's encryption key is damaged: {error}"))
    })?;
    Ok(Some(identity))
}

/// The public half of this machine's key, which is made if it has none: in the
/// keychain if its tokens are there.
pub fn own(session: &Session) -> Outcome<Recipient> {
    if let Some(identity) = identity(session)? {
        return Ok(identity.recipient());
    }
    let made = Identity::generate();
    let recipient = made.recipient().to_string();
    let logins = &session.settings.logins;
    let keychain = logins.last().is_some_and(|login| login.place == SecretStore::Keychain);
    let name = Name::key(&recipient);
    let change = |settings: &mut Settings, place| {
        let key = Key { recipient, place };
        // Another process may have been faster: its key stands.
        (settings.key.get_or_insert_with(|| key.clone()) != &key).then_some(place)
    };
    let (late, _) = secrets::keep(&session.home, &name, &made.reveal(), keychain, change)?;
    if let Some(place) = late {
        secrets::forget(&session.home, &name, place)?;
    }
    let identity = identity(session)?;
    let identity = identity.ok_or_else(|| Failure::new("no encryption key could be made"))?;
    Ok(identity.recipient())
}

/// Forgets this machine's key: what was encrypted for it is readable no more.
pub fn forget_own(session: &Session) -> Outcome {
    let Some(key) = Settings::load(&session.home)?.key else {
        return Ok(());
    };
    // While the settings refer to it, it can be forgotten again.
    secrets::forget(&session.home, &key.secret(), key.place)?;
    Settings::change(&session.home, |settings| settings.key.take_if(|known| *known == key))
        .map(|_| ())
}

/// A message as it is to leave: sealed, if this machine or the repo's
/// configuration says so. Under a `key` that was used before, it is what left
/// then.
pub async fn seal(
    session: &Session,
    at: &InRepo,
    message: NewMessage,
    key: Option<&str>,
) -> Outcome<NewMessage> {
    let policy = if session.settings.repo(&at.repo).require_encryption {
        Some(Encrypt::Always)
    } else {
        at.client.config().await?.value.encrypt
    };
    let pins = pins(&session.home)?;
    if policy.is_none() {
        // The agent's published key makes no difference, so it is not fetched.
        let state = pins.check(&at.repo, &message.to, None);
        if let Some(warning) = sealed::decide(policy, &state).warning {
            session.out.warn(&format!("{}: {warning}", message.to));
        }
        return Ok(message);
    }
    let agent = at.client.agent(&message.to).await?;
    let published = Recipient::published(&agent.metadata).map_err(|error| {
        Failure::new(format!("{} publishes an invalid key: {error}", agent.name))
            .hint(format!("report it to {}, the agent's owner", agent.owner))
    })?;
    let state = pins.check(&at.repo, &message.to, published.as_ref());
    let decision = sealed::decide(policy, &state);
    if let Some(warning) = decision.warning {
        session.out.warn(&format!(
            "{0}: {warning} (multiclaude-hybrid keys trust {0} --repo {1})",
            message.to, at.repo
        ));
    }
    if let Some(recipient) = decision.pin {
        change_pins(&session.home, |pins| {
            pins.trust(&at.repo, &message.to, recipient);
        })?;
    }
    match decision.action {
        Action::Plain => Ok(message),
        Action::Encrypt(recipient) => sent::sealed(session, at, key, &message, || {
            sealed::seal(&message, &at.repo, &recipient)
                .map_err(|error| Failure::usage(error.to_string()))
        }),
        Action::Refuse(refusal) => {
            Err(Failure::new(format!("not sent to {}: {refusal}", message.to))
                .exit(Exit::Conflict)
                .hint(how_to_go_on(&state, &agent, &at.repo)))
        }
    }
}

/// What to do after a message was refused because of the recipient's key.
fn how_to_go_on(state: &PinState, agent: &Agent, repo: &Repo) -> String {
    let name = &agent.name;
    match state {
        PinState::Absent => format!(
            "there: multiclaude-hybrid agents register {name} --type {} (it publishes a key)",
            agent.r#type
        ),
        PinState::Gone { .. } => format!(
            "if its owner confirms that: multiclaude-hybrid keys forget {name} --repo {repo}"
        ),
        _ => format!(
            "if its owner confirms the new key: multiclaude-hybrid keys trust {name} --repo {repo}"
        ),
    }
}

/// Opens the messages of one repo. The key is looked for once, when the first
/// sealed one comes: a keychain takes its time.
#[derive(Debug)]
pub struct Reader<'a> {
    session: &'a Session,
    repo: &'a Repo,
    keys: OnceCell<Result<Vec<Identity>, String>>,
}

impl<'a> Reader<'a> {
    pub fn new(session: &'a Session, repo: &'a Repo) -> Self {
        Self { session, repo, keys: OnceCell::new() }
    }

    /// The message as it was written. One that cannot be read keeps its ciphertext, with the
    /// reason.
    pub fn open(&self, message: Message) -> Opened {
        let encrypted = sealed::is_sealed(&message);
        let (message, error) = if encrypted {
            match self.decrypt(&message) {
                Ok(opened) => (opened, None),
                Err(error) => (message, Some(error)),
            }
        } else {
            (message, None)
        };
        Opened {
            message,
            encrypted,
            should_be_encrypted: !encrypted
                && self.session.settings.repo(self.repo).require_encryption,
            error,
        }
    }

    fn decrypt(&self, message: &Message) -> Result<Message, String> {
        let keys = self.keys.get_or_init(|| {
            let found = identity(self.session).map_err(|failure| failure.message);
            found.map(|key| key.into_iter().collect())
        });
        let opened = sealed::open(message, keys.as_ref().map_err(Clone::clone)?);
        let opened = opened.map_err(|error| error.to_string())?;
        if opened.repo == *self.repo {
            Ok(opened)
        } else {
            Err("it was sealed for another repo".to_owned())
        }
    }
}

/// Checks this machine's keys.
pub fn check(session: &Session) -> Outcome {
    pins(&session.home)?;
    identity(session).map(|_| ())
}

/// Shows this machine's key, and the known ones of a repo's agents or of all.
pub fn list(session: &Session, repo: Option<&Repo>) -> Outcome {
    let own = Settings::load(&session.home)?.key.map(|key| key.recipient);
    let pins = pins(&session.home)?;
    let of_repo = |agent: &str| {
        repo.is_none_or(|repo| agent.rsplit_once('/').is_some_and(|(of, _)| of == repo.as_str()))
    };
    let known: BTreeMap<_, _> = pins.iter().filter(|(agent, _)| of_repo(agent)).collect();
    let value = serde_json::json!({ "own": own, "known": known });
    session.out.show(&value, || {
        let own =
            own.as_deref().unwrap_or("none yet: one is made when an agent is registered here");
        let known = known.iter().map(|(agent, key)| format!("{agent}: {key}"));
        let lines: Vec<_> = std::iter::once(format!("this machine: {own}")).chain(known).collect();
        lines.join("\n")
    })
}

/// Trusts the key that an agent publishes now.
pub async fn trust(session: &Session, at: &InRepo, name: &AgentName) -> Outcome {
    let agent = at.client.agent(name).await?;
    let published = Recipient::published(&agent.metadata)
        .map_err(|error| Failure::new(format!("{name} publishes an invalid key: {error}")))?;
    let recipient = published.ok_or_else(|| {
        Failure::new(format!("{name} publishes no key")).hint(format!(
            "to send it plain text again: multiclaude-hybrid keys forget {name} --repo {}",
            at.repo
        ))
    })?;
    change_pins(&session.home, |pins| {
        pins.trust(&at.repo, name, recipient.clone());
    })?;
    let value = serde_json::json!({ "agent": name, "repo": at.repo, "recipient": recipient });
    session.out.show(&value, || format!("Trusting {recipient} for {name} in {}.", at.repo))
}

pub fn forget(session: &Session, repo: &Repo, name: &AgentName) -> Outcome {
    let forgotten = change_pins(&session.home, |pins| pins.forget(repo, name))?;
    let value = serde_json::json!({ "agent": name, "repo": repo, "forgotten": forgotten });
    session.out.show(&value, || match &forgotten {
        Some(key) => format!("Forgot {key} of {name} in {repo}; the next key seen is trusted."),
        None => format!("No key of {name} in {repo} was known."),
    })
}
