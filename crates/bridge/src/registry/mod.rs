//! The agents of this home in the coordinator's registry, and those of other machines as
//! last read.

mod records;

pub use records::{Record, Records};

use crate::connection::{Connection, is_retryable};
use crate::dirs::RepoDirs;
use crate::lock::locked;
use crate::names;
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::agent::{
    Agent, AgentStatus, EndpointChange, Registration,
};
use multiclaude_hybrid_client::protocol::config::HybridConfig;
use multiclaude_hybrid_client::protocol::heartbeat::{HEARTBEATS_MAX, Heartbeat};
use multiclaude_hybrid_client::protocol::metadata::Metadata;
use multiclaude_hybrid_client::protocol::webhook::Secret;
use multiclaude_hybrid_client::protocol::{AgentName, ErrorCode, Owner, Repo};
use multiclaude_hybrid_client::sealed::Recipient;
use multiclaude_hybrid_client::{AgentFilter, Error};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use tracing::{info, warn};
use uuid::Uuid;

/// Metadata of an agent with messages that wait on its machine: how many, and why.
const HELD: &str = "held";

/// The endpoint for pushes to an agent.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The path below the public URL.
    pub path: String,
    /// The whole URL.
    pub url: String,
    /// The secret for signatures. It lives as long as this process: the next one sets its
    /// own, and the coordinator signs under both for 24 h.
    pub secret: Secret,
}

/// This home, and the repo that its agents register in.
#[derive(Debug, Clone)]
pub struct Home {
    /// `owner/repo`.
    pub repo: Repo,
    /// The label of this machine.
    pub node: String,
    /// The id of this home.
    pub instance: String,
    /// The owner of its agents.
    pub owner: Owner,
    /// The public half of its key, which is published.
    pub recipient: Option<Recipient>,
    /// The URL by which the coordinator reaches the listener, if there is one.
    pub public_url: Option<String>,
}

/// The repo as it was last read at the coordinator.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// All agents, of all machines.
    pub agents: Vec<Agent>,
    /// The shared configuration.
    pub config: Option<HybridConfig>,
    /// When it was read, in milliseconds since the epoch; 0 for never.
    pub at_ms: i64,
}

/// Why an agent is not registered.
#[derive(Debug)]
pub enum Failure {
    /// The coordinator is away: try again later.
    Away,
    /// The coordinator refuses, or a file cannot be written; a text for people.
    Refused(String),
}

/// The agents of one repo.
#[derive(Debug)]
pub struct Registry {
    connection: Arc<Connection>,
    home: Home,
    secrets: Mutex<BTreeMap<AgentName, Secret>>,
    /// The registrations, by local name.
    pub records: Records,
    read: Mutex<Read>,
    refused: Mutex<BTreeMap<String, String>>,
    /// Why the list or the configuration cannot be read.
    pub unread: Trouble,
}

impl Registry {
    /// Opens the registry with the records of an earlier process.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn open(connection: Arc<Connection>, dirs: &RepoDirs, home: Home) -> io::Result<Self> {
        Ok(Self {
            connection,
            home,
            secrets: Mutex::default(),
            records: Records::open(dirs.agents())?,
            read: Mutex::default(),
            refused: Mutex::default(),
            unread: Trouble::new(
                "the repo cannot be read at the coordinator",
                "the repo can be read again",
            ),
        })
    }

    /// The repo as it was last read.
    pub fn read(&self) -> Read {
        locked(&self.read).clone()
    }

    /// The home whose agents are registered.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The endpoint for pushes to an agent, if there is a public URL.
    pub fn endpoint(&self, name: &AgentName) -> Option<Endpoint> {
        let public = self.home.public_url.as_ref()?;
        let path = names::hook_path(&self.home.repo, name);
        let random = || {
            let mut bytes = [0; 32];
            for half in bytes.chunks_mut(16) {
                half.copy_from_slice(Uuid::new_v4().as_bytes());
            }
            Secret::new(bytes)
        };
        let secret = locked(&self.secrets).entry(name.clone()).or_insert_with(random).clone();
        Some(Endpoint { url: format!("{}{path}", public.trim_end_matches('/')), path, secret })
    }

    /// Registers an agent, or renews its registration. The record is on disk
    /// before the call, so that a crash leaves no registration without a record.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn register(
        &self,
        local: &str,
        mut record: Record,
        status: AgentStatus,
    ) -> Result<Record, Failure> {
        let endpoint = self.endpoint(&record.name);
        let endpoint = endpoint.as_ref();
        let on_disk =
            |error: io::Error| Failure::Refused(format!("its record cannot be written: {error}"));
        self.records.put(local, record.clone()).map_err(on_disk)?;
        let metadata = self.metadata(local, None);
        let registration = Registration {
            status: Some(status),
            endpoint: endpoint.map_or(EndpointChange::Clear, |endpoint| {
                EndpointChange::Set(endpoint.url.clone())
            }),
            webhook_secret: endpoint.map(|endpoint| endpoint.secret.clone()),
            instance: Some(self.home.instance.clone()),
            metadata: Some(metadata),
            ..Registration::new(record.name.clone(), &record.kind)
        };
        let answer = self.connection.note(self.connection.repo.register(&registration).await);
        match answer {
            Ok(agent) => {
                record.id = Some(agent.id);
                self.records.put(local, record.clone()).map_err(on_disk)?;
                info!(local, name = %record.name, status = status.as_str(), "registered");
                Ok(record)
            }
            Err(error) if is_retryable(&error) => Err(Failure::Away),
            Err(error) => {
                self.records.remove(local).map_err(on_disk)?;
                let taken = error.code() == Some(ErrorCode::AgentExists);
                let hint =
                    if taken { self.hint_for_taken_name(&record.name) } else { String::new() };
                Err(Failure::Refused(format!("{error}{hint}")))
            }
        }
    }

    fn hint_for_taken_name(&self, name: &AgentName) -> String {
        let read = self.read();
        let holder = read.agents.iter().find(|agent| agent.name == *name);
        let owner = holder.map_or(&self.home.owner, |agent| &agent.owner);
        format!(
            ". If that was this machine before it was set up again: {}",
            self.removal_command(name, owner)
        )
    }

    /// The command that removes an agent, and the owner who may run it.
    fn removal_command(&self, name: &AgentName, owner: &Owner) -> String {
        let by = if *owner == self.home.owner { String::new() } else { format!("{owner} runs ") };
        format!("{by}multiclaude-hybrid agents remove {name} --repo {}", self.home.repo)
    }

    /// Deregisters an agent that has ended.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn deregister(&self, local: &str, record: &Record) -> Result<(), Failure> {
        let id = match &record.id {
            Some(id) => Some(id.clone()),
            // The answer may have been lost in a crash.
            None => match self.connection.note(self.connection.repo.agent(&record.name).await) {
                Ok(agent) => {
                    (agent.instance.as_ref() == Some(&self.home.instance)).then_some(agent.id)
                }
                Err(error) if is_retryable(&error) => return Err(Failure::Away),
                Err(_) => None,
            },
        };
        if let Some(id) = id {
            let done = self
                .connection
                .note(self.connection.repo.deregister(&record.name, Some(&id)).await);
            match done {
                Ok(()) => info!(local, name = %record.name, "deregistered"),
                Err(error) if is_retryable(&error) => return Err(Failure::Away),
                Err(error) => {
                    info!(local, name = %record.name, %error, "it was not registered any more");
                }
            }
        }
        self.records.remove(local).map_err(|error| Failure::Refused(error.to_string()))
    }

    /// Sends heartbeats of all agents; returns the local names of those that the
    /// coordinator does not know any more.
    ///
    /// # Errors
    /// The call fails.
    pub async fn heartbeat(
        &self,
        statuses: &BTreeMap<String, AgentStatus>,
        held: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Error> {
        let records = self.records.all();
        let mut unknown = Vec::new();
        let beats: Vec<(String, Heartbeat)> = records
            .into_iter()
            .filter_map(|(local, record)| {
                let status = statuses.get(&local).copied();
                // Unchanged metadata costs no written row.
                let metadata = Some(self.metadata(&local, held.get(&local)));
                let heartbeat =
                    Heartbeat { name: record.name, id: Some(record.id?), status, metadata };
                Some((local, heartbeat))
            })
            .collect();
        for chunk in beats.chunks(HEARTBEATS_MAX) {
            let list: Vec<_> = chunk.iter().map(|(_, heartbeat)| heartbeat.clone()).collect();
            let results = self.connection.note(self.connection.repo.heartbeats(&list).await)?;
            for ((local, heartbeat), result) in chunk.iter().zip(results) {
                if result.result != "ok" {
                    warn!(local, name = %heartbeat.name, result = result.result, "the coordinator no longer knows this agent as ours");
                    unknown.push(local.clone());
                }
            }
        }
        Ok(unknown)
    }

    /// The published metadata of a local agent; `held`: why messages for it wait here.
    fn metadata(&self, local: &str, held: Option<&String>) -> Metadata {
        let mut metadata = names::metadata(local, &self.home.node);
        if let Some(recipient) = &self.home.recipient {
            recipient.publish(&mut metadata);
        }
        if let Some(held) = held {
            metadata.insert(HELD.to_owned(), held.clone());
        }
        metadata
    }

    /// Reads all agents of the repo and its configuration.
    ///
    /// # Errors
    /// A call fails.
    pub async fn refresh(&self) -> Result<(), Error> {
        let read = self.read_now().await;
        if let Ok(read) = &read {
            *locked(&self.read) = read.clone();
        }
        let about = self.home.repo.as_str();
        match &read {
            // The connection logs outages.
            Err(error) if error.is_outage() => {}
            Err(error) => self.unread.begin(about, error),
            Ok(_) => self.unread.end(about),
        }
        read.map(|_| ())
    }

    async fn read_now(&self) -> Result<Read, Error> {
        let at_ms = crate::clock::wall_ms();
        let agents =
            self.connection.note(self.connection.repo.agents(&AgentFilter::default()).await)?;
        let config = self.connection.note(self.connection.repo.config().await)?.value;
        Ok(Read { agents, config: Some(config), at_ms })
    }

    /// The agents of other machines, as last read.
    pub fn others(&self) -> Vec<Agent> {
        let mut agents = self.read().agents;
        agents.retain(|agent| agent.instance.as_deref() != Some(&self.home.instance));
        agents
    }

    /// A text about another machine with our label, if there is one.
    pub fn label_conflict(&self) -> Option<String> {
        let read = self.read();
        let other = names::holder_of_label(&read.agents, &self.home.node, &self.home.instance)?;
        Some(format!(
            "another machine is called {node} already: {name} of {owner} is there. Choose another label: \
             multiclaude-hybrid config {repo} --node=LABEL. If that was this machine before it was set up \
             again: {removal_command}",
            node = self.home.node,
            name = other.name,
            owner = other.owner,
            repo = other.repo,
            removal_command = self.removal_command(&other.name, &other.owner),
        ))
    }

    /// Notes which agents are not registered, and why.
    pub fn set_refused(&self, refused: BTreeMap<String, String>) {
        *locked(&self.refused) = refused;
    }

    /// Agents that are not registered, and why.
    pub fn refused(&self) -> BTreeMap<String, String> {
        locked(&self.refused).clone()
    }
}

/// The error for a recipient that is not registered.
pub fn unregistered(name: &AgentName) -> String {
    format!("no agent called {name} is registered; multiclaude-hybrid list shows the names")
}
