//! What the bridge asks of the rest of the program: settings, logins, keys.

use multiclaude_hybrid_client::Client;
use multiclaude_hybrid_client::protocol::{AgentName, Owner, Repo};
use multiclaude_hybrid_client::sealed::{Identity, Pins, Recipient};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// One repo that hybrid mode is on for.
#[derive(Debug, Clone)]
pub struct RepoSetup {
    /// `owner/repo`.
    pub repo: Repo,
    /// multiclaude's name for it.
    pub nickname: String,
    /// Whose agents are registered.
    pub owner: Owner,
    /// The coordinator, with the login's token.
    pub client: Client,
    /// Names the login: another one makes another connection.
    pub login: String,
    /// Roles whose local agents are retired.
    pub stood_down: BTreeSet<String>,
    /// Is no message to leave unencrypted?
    pub require_encryption: bool,
    /// The public half of this machine's key, to be published.
    pub recipient: Option<Recipient>,
}

impl RepoSetup {
    /// Can a repo that is served with `other` go on with this?
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

/// All that this machine was set up for.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The label of this machine in agents' names.
    pub node: String,
    /// The id of this home in registrations.
    pub instance: String,
    /// The repos.
    pub repos: Vec<RepoSetup>,
    /// Repos that hybrid mode is on for, and that cannot be set up now: multiclaude
    /// has no clone, or the secrets cannot be read. One that is served stays.
    pub for_now: BTreeSet<Repo>,
    /// multiclaude's names of repos that cannot be served, and why.
    pub refused: BTreeMap<String, String>,
}

/// This machine: its settings and secrets. Read again whenever they may have
/// changed.
pub trait Machine: Debug + Send + Sync + 'static {
    /// What it is set up for.
    ///
    /// # Errors
    /// The settings or the secrets cannot be read.
    fn setup(&self) -> Result<Setup, String>;

    /// The secret halves of its keys.
    ///
    /// # Errors
    /// They cannot be read.
    fn identities(&self) -> Result<Vec<Identity>, String>;

    /// The keys of other agents, as first seen.
    ///
    /// # Errors
    /// They cannot be read.
    fn pins(&self) -> Result<Pins, String>;

    /// Keeps the key of an agent that was seen for the first time.
    ///
    /// # Errors
    /// It cannot be written.
    fn pin(&self, repo: &Repo, agent: &AgentName, key: Recipient) -> Result<(), String>;
}

/// Reads what `machine` is set up for, on a thread of its own: a keychain may take
/// its time.
///
/// # Errors
/// As [`Machine::setup`].
pub async fn read(machine: &Arc<dyn Machine>) -> Result<Setup, String> {
    let machine = Arc::clone(machine);
    let read = tokio::task::spawn_blocking(move || machine.setup()).await;
    read.unwrap_or_else(|error| Err(format!("reading the settings has failed: {error}")))
}
