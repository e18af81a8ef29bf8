//! The settings, logins and keys that the rest of the program provides.

use multiclaude_hybrid_client::Client;
use multiclaude_hybrid_client::protocol::{AgentName, Owner, Repo};
use multiclaude_hybrid_client::sealed::{Identity, Pins, Recipient};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// One repo with hybrid mode on.
#[derive(Debug, Clone)]
pub struct RepoSetup {
    /// `owner/repo`.
    pub repo: Repo,
    /// multiclaude's name for it.
    pub nickname: String,
    /// The owner of its agents.
    pub owner: Owner,
    /// The client with the login's token.
    pub client: Client,
    /// Identifies the login: another login needs another connection.
    pub login: String,
    /// Roles whose local agents are retired.
    pub stood_down: BTreeSet<String>,
    /// Must all messages be encrypted?
    pub require_encryption: bool,
    /// The public half of this machine's key, which is published.
    pub recipient: Option<Recipient>,
}

impl RepoSetup {
    /// Can a repo that is served with `other` go on with this setup?
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |setup: &Self| {
            let recipient = setup.recipient.as_ref().map(ToString::to_string);
            (
                setup.repo.clone(),
                setup.nickname.clone(),
                setup.login.clone(),
                setup.require_encryption,
                recipient,
            )
        };
        key(self) == key(other)
    }
}

/// All repos that this machine serves.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The label of this machine in agents' names.
    pub node: String,
    /// The id of this home in registrations.
    pub instance: String,
    /// The repos with hybrid mode on.
    pub repos: Vec<RepoSetup>,
    /// Repos with hybrid mode on that cannot be set up now: multiclaude has no clone, or
    /// the secrets cannot be read. If one is being served, it stays served.
    pub for_now: BTreeSet<Repo>,
    /// multiclaude's names of repos that cannot be served, and why.
    pub refused: BTreeMap<String, String>,
}

/// The settings and secrets of this machine. They are read again whenever they may have
/// changed.
pub trait Machine: Debug + Send + Sync + 'static {
    /// The repos to serve.
    ///
    /// # Errors
    /// The settings or the secrets cannot be read.
    fn setup(&self) -> Result<Setup, String>;

    /// The secret halves of its keys.
    ///
    /// # Errors
    /// The keys cannot be read.
    fn identities(&self) -> Result<Vec<Identity>, String>;

    /// The trusted keys of other agents.
    ///
    /// # Errors
    /// The pins cannot be read.
    fn pins(&self) -> Result<Pins, String>;

    /// Stores the key of an agent that was seen for the first time.
    ///
    /// # Errors
    /// It cannot be written.
    fn pin(&self, repo: &Repo, agent: &AgentName, key: Recipient) -> Result<(), String>;
}

/// Reads the setup of `machine` on a blocking thread: a keychain may be slow.
///
/// # Errors
/// As [`Machine::setup`].
pub async fn read(machine: &Arc<dyn Machine>) -> Result<Setup, String> {
    let machine = Arc::clone(machine);
    let read = tokio::task::spawn_blocking(move || machine.setup()).await;
    read.unwrap_or_else(|error| Err(format!("the settings cannot be read: {error}")))
}
