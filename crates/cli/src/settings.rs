//! The settings of this machine: logins, repos, its own label; no secrets.

use crate::failure::{Outcome, io};
use crate::files::{Draft, check_trusted, read, read_json, write_json};
use crate::home::Home;
use crate::remote::{self, Remote, without_user};
use crate::secrets::Name;
use multiclaude_hybrid_bridge::dirs::make_dir;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::token::{Scope, TokenKind};
use multiclaude_hybrid_client::protocol::{Owner, Repo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub const NODE_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretStore {
    Keychain,
    File,
}

/// A token that this machine has; its secret part is elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    pub url: String,
    pub token_id: String,
    pub kind: TokenKind,
    pub owner: Owner,
    #[serde(default)]
    pub repos: Vec<Scope>,
    pub place: SecretStore,
    /// May it go over plain http to another machine?
    #[serde(default)]
    pub allow_http: bool,
}

impl Login {
    pub fn secret(&self) -> Name {
        Name::token(&self.url, &self.token_id)
    }

    /// Is it of this owner or kind, or has it this id?
    pub fn is(&self, which: &str) -> bool {
        which == self.owner.as_str() || which == self.kind.as_str() || which == self.token_id
    }

    pub fn acts_for(&self, owner: &Owner) -> bool {
        self.kind != TokenKind::User || self.owner == *owner
    }

    /// Does it reach `repo`? An admin token reaches all of them.
    pub fn covers(&self, repo: &Repo) -> bool {
        self.kind == TokenKind::Admin || self.repos.iter().any(|scope| scope.covers(repo))
    }
}

/// This machine's encryption key; its secret part is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The public part, `age1…`, which also names the secret one.
    pub recipient: String,
    pub place: SecretStore,
}

impl Key {
    pub fn secret(&self) -> Name {
        Name::key(&self.recipient)
    }
}

/// The repos of a token, for people.
pub fn covered(kind: TokenKind, repos: &[Scope]) -> String {
    match kind {
        TokenKind::Admin => "every repo, for management only".to_owned(),
        _ => repos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// The repo of one of multiclaude's names, if the URL of its clone does not name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nickname {
    pub repo: Repo,
    /// The clone that had the name when this was configured, if there was one: see [`origin`].
    pub origin: Option<String>,
}

impl Nickname {
    /// Does it still hold, where the name stands for what was cloned from
    /// `url`? A name that was given to another clone since means that one.
    pub fn holds(&self, url: Option<&str>) -> bool {
        match (url, &self.origin) {
            (None, _) => true,
            (Some(url), Some(known)) => origin(url) == origin(known),
            (Some(url), None) => remote::parse(url).repo().is_none(),
        }
    }
}

/// A URL in one spelling: `owner/repo`, else the URL without credentials.
pub fn origin(url: &str) -> String {
    match remote::parse(url) {
        Remote::Is { repo, .. } => repo.to_string(),
        Remote::Unknown(_) => without_user(url).trim_end_matches('/').to_owned(),
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepoSettings {
    pub enabled: bool,
    /// The coordinator, if another than the login's.
    pub api_endpoint: Option<String>,
    /// Is no message to leave unencrypted?
    pub require_encryption: bool,
    /// Roles whose local agents stand down.
    pub stood_down: BTreeSet<String>,
    /// The hosts of its clones; another one is asked about.
    pub hosts: BTreeSet<String>,
    /// The types that ran remotely when the shared configuration was last read.
    pub remote_agents: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    instance: String,
    node: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Names this home in registrations: random, chosen once.
    pub instance: String,
    pub node: Option<String>,
    /// The tokens, the latest last.
    pub logins: Vec<Login>,
    /// The key that agents of this machine are written to with.
    pub key: Option<Key>,
    pub repos: BTreeMap<String, RepoSettings>,
    /// multiclaude's nicknames that its state does not explain.
    pub nicknames: BTreeMap<String, Nickname>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance: Uuid::new_v4().simple().to_string(),
            node: None,
            logins: Vec::new(),
            key: None,
            repos: BTreeMap::new(),
            nicknames: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Reads them; defaults if there are none yet.
    pub fn load(home: &Home) -> Outcome<Self> {
        let path = home.settings();
        check_trusted(&home.hybrid())?;
        check_trusted(&path)?;
        let known = read_json(&path, |path| {
            format!("fix it, or start again: mv {path} {path}.damaged, then log in again")
        });
        Ok(known?.unwrap_or_else(|| Self::first(home)))
    }

    /// The settings of a home that has none yet, or whose settings were removed:
    /// to the coordinator it is the same home as before.
    fn first(home: &Home) -> Self {
        let text = read(&home.bridge().identity()).ok().flatten();
        let known: Option<Identity> = text.and_then(|text| serde_json::from_slice(&text).ok());
        match known {
            Some(Identity { instance, node }) => {
                Self { instance, node: Some(node), ..Self::default() }
            }
            None => Self::default(),
        }
    }

    /// Writes down, outside of multiclaude's directory, what this home is called.
    pub fn keep_identity(&self, home: &Home) -> Outcome {
        let path = home.bridge().identity();
        let identity = Identity { instance: self.instance.clone(), node: self.node() };
        let dir = path.parent().unwrap_or(home.user());
        make_dir(dir).map_err(io("create", dir))?;
        write_json(&path, &identity)
    }

    /// Reads, changes and writes them, one process at a time.
    pub fn change<T>(home: &Home, change: impl FnOnce(&mut Self) -> T) -> Outcome<(T, Self)> {
        let _lock = home.lock()?;
        let mut settings = Self::load(home)?;
        let result = change(&mut settings);
        settings.draft(home)?.place()?;
        Ok((result, settings))
    }

    /// Their file, to be placed. The caller holds the [`Home::lock`].
    pub fn draft(&self, home: &Home) -> Outcome<Draft> {
        Draft::json(&home.settings(), self)
    }

    /// The secrets that they refer to, and where those are.
    pub fn secrets(&self) -> impl Iterator<Item = (Name, SecretStore)> {
        let tokens = self.logins.iter().map(|login| (login.secret(), login.place));
        tokens.chain(self.key.iter().map(|key| (key.secret(), key.place)))
    }

    pub fn refers_to(&self, name: &Name, place: SecretStore) -> bool {
        self.secrets().any(|secret| secret == (name.clone(), place))
    }

    /// Has this home registered the agent? A label in its metadata is no proof.
    pub fn has_registered(&self, agent: &Agent) -> bool {
        agent.instance.as_ref() == Some(&self.instance)
    }

    pub fn known_repos(&self) -> impl Iterator<Item = Repo> {
        self.repos.keys().filter_map(|name| Repo::parse(name).ok())
    }

    pub fn repo(&self, repo: &Repo) -> RepoSettings {
        self.repos.get(repo.as_str()).cloned().unwrap_or_default()
    }

    /// This machine's label: what was chosen, or one made of the host's name.
    pub fn node(&self) -> String {
        self.node.clone().unwrap_or_else(|| label_of(&host_name()))
    }
}

/// Is it a label, `[a-z0-9-]{1,20}`?
pub fn check_label(label: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=NODE_MAX).contains(&label.len()) && label.bytes().all(allowed) {
        Ok(label.to_owned())
    } else {
        Err(format!("a label has 1 to {NODE_MAX} of a-z, 0-9 and -"))
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A label made of a host's name: its first part, in lower case.
fn label_of(host: &str) -> String {
    let first = host.split('.').next().unwrap_or_default();
    let label: String = first
        .to_ascii_lowercase()
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '-' })
        .take(NODE_MAX)
        .collect();
    match label.trim_matches('-') {
        "" => "box".to_owned(),
        label => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_made_of_any_host_name() {
        for (host, label) in [
            ("Dans-MacBook-Pro.local", "dans-macbook-pro"),
            ("box", "box"),
            ("", "box"),
            ("---", "box"),
            ("ünïcode", "n-code"),
            ("a-very-long-host-name-in-the-cloud", "a-very-long-host-nam"),
        ] {
            assert_eq!(label_of(host), label);
            assert!(check_label(label).is_ok(), "{label}");
        }
    }

    #[test]
    fn a_name_that_moved_to_another_clone_means_the_repo_of_that_clone() {
        let nickname_of = |url: Option<&str>| Nickname {
            repo: Repo::parse("acme/app").unwrap(),
            origin: url.map(origin),
        };
        let (path, github) = ("/srv/app.git", "https://github.com/acme/lib");
        assert!(nickname_of(Some(path)).holds(Some(path)));
        assert!(nickname_of(Some(path)).holds(None));
        assert!(!nickname_of(Some(path)).holds(Some(github)));
        assert!(!nickname_of(Some(path)).holds(Some("/srv/other.git")));
        assert!(nickname_of(None).holds(Some(path)));
        assert!(!nickname_of(None).holds(Some(github)));
        for same in [
            "https://github.com/acme/lib.git",
            "git@github.com:acme/lib",
            "https://dan:secret@github.com/Acme/Lib/",
        ] {
            assert!(nickname_of(Some(github)).holds(Some(same)), "{same}");
        }
        assert_eq!(origin("https://dan:secret@example.com/app.git"), "https://example.com/app.git");
    }

    #[test]
    fn an_admin_token_reaches_every_repo_and_others_what_they_list() {
        let mut login = Login {
            url: String::new(),
            token_id: String::new(),
            kind: TokenKind::Service,
            owner: Owner::parse("ci").unwrap(),
            repos: vec![Scope::parse("acme/*").unwrap()],
            place: SecretStore::File,
            allow_http: false,
        };
        let (ours, other) = (Repo::parse("acme/app").unwrap(), Repo::parse("x/y").unwrap());
        assert!(login.covers(&ours) && !login.covers(&other));
        login.kind = TokenKind::Admin;
        assert!(login.covers(&other));
    }
}
