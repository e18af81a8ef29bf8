//! The agents of this home in the coordinator's registry, and those of other
//! machines as they were last read.

use crate::connection::{Connection, stops_everything};
use crate::dirs::{RepoDirs, make_dir, write_durably};
use crate::inbox::Routes;
use crate::names;
use crate::spool::locked;
use multiclaude_hybrid_client::protocol::agent::{
    Agent, AgentStatus, EndpointChange, Registration,
};
use multiclaude_hybrid_client::protocol::config::HybridConfig;
use multiclaude_hybrid_client::protocol::heartbeat::{HEARTBEATS_MAX, Heartbeat};
use multiclaude_hybrid_client::protocol::webhook::Secret;
use multiclaude_hybrid_client::protocol::{AgentId, AgentName, ErrorCode, Owner, Repo};
use multiclaude_hybrid_client::sealed::Recipient;
use multiclaude_hybrid_client::{AgentFilter, Error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tracing::{info, warn};
use uuid::Uuid;

/// A local agent that is registered, or is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name it is registered under.
    pub name: AgentName,
    /// The incarnation, once the coordinator has answered.
    #[serde(default)]
    pub id: Option<AgentId>,
    /// Its type.
    pub kind: String,
    /// When multiclaude created it; empty if that is not known.
    #[serde(default)]
    pub created_at: String,
    /// When its tmux session was created, in seconds since the epoch.
    #[serde(default)]
    pub session_secs: i64,
}

/// Where pushes for an agent go.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The path below the public URL.
    pub path: String,
    /// The whole URL.
    pub url: String,
    /// What they are signed under. It lives as long as this process: the next
    /// one sets its own, and the coordinator signs under both for 24 h.
    pub secret: Secret,
}

/// Who registers, for which repo.
#[derive(Debug, Clone)]
pub struct Home {
    /// The repo.
    pub repo: Repo,
    /// The label of this machine.
    pub node: String,
    /// The id of this home.
    pub instance: String,
    /// The owner of its agents.
    pub owner: Owner,
    /// The public half of its key, to be published.
    pub recipient: Option<Recipient>,
    /// Where pushes come in, if anywhere.
    pub public_url: Option<String>,
}

/// What was last read of the repo.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// All agents, of all machines.
    pub agents: Vec<Agent>,
    /// The shared configuration.
    pub config: Option<HybridConfig>,
    /// When, in milliseconds since the epoch; 0 for never.
    pub at_ms: i64,
}

/// Why an agent is not registered.
#[derive(Debug)]
pub enum Failure {
    /// The coordinator is away: later.
    Away,
    /// It refuses, or a file cannot be written; a text for people.
    Refused(String),
}

/// The agents of one repo.
#[derive(Debug)]
pub struct Registry {
    connection: Arc<Connection>,
    path: PathBuf,
    home: Home,
    secrets: Mutex<BTreeMap<AgentName, Secret>>,
    records: Mutex<BTreeMap<String, Record>>,
    read: Mutex<Read>,
}

impl Registry {
    /// With the records that an earlier process has left.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn open(connection: Arc<Connection>, dirs: &RepoDirs, home: Home) -> io::Result<Self> {
        let path = dirs.agents();
        let records = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            connection,
            path,
            home,
            secrets: Mutex::default(),
            records: Mutex::new(records),
            read: Mutex::default(),
        })
    }

    /// The records, by local name.
    pub fn records(&self) -> BTreeMap<String, Record> {
        locked(&self.records).clone()
    }

    /// One record.
    pub fn record(&self, local: &str) -> Option<Record> {
        locked(&self.records).get(local).cloned()
    }

    /// What was last read of the repo.
    pub fn read(&self) -> Read {
        locked(&self.read).clone()
    }

    /// Who registers.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Where pushes for an agent go, if there is a public URL.
    pub fn endpoint(&self, name: &AgentName) -> Option<Endpoint> {
        let public = self.home.public_url.as_ref()?;
        let path = Routes::path(self.home.repo.as_str(), name.as_str());
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

    /// Changes the records, on disk before anything follows from it.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Record>)) -> io::Result<()> {
        let mut records = locked(&self.records);
        let mut changed = records.clone();
        change(&mut changed);
        if changed != *records {
            if let Some(dir) = self.path.parent() {
                make_dir(dir)?;
            }
            write_durably(&self.path, &serde_json::to_vec_pretty(&changed)?, 0o600)?;
            *records = changed;
        }
        Ok(())
    }

    /// Notes when the tmux session of an agent was created.
    ///
    /// # Errors
    /// The records cannot be written.
    pub fn set_session(&self, local: &str, secs: i64) -> io::Result<()> {
        self.change(|records| {
            if let Some(record) = records.get_mut(local) {
                record.session_secs = secs;
            }
        })
    }

    /// Registers an agent, or renews its registration. The record is on disk
    /// before the call, so that a crash leaves no agent that nobody knows of.
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
        self.change(|records| {
            records.insert(local.to_owned(), record.clone());
        })
        .map_err(on_disk)?;
        let mut metadata = names::metadata(local, &self.home.node);
        if let Some(recipient) = &self.home.recipient {
            recipient.publish(&mut metadata);
        }
        let mut registration = Registration {
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
        let answer = match answer {
            Err(error) if error.code() == Some(ErrorCode::AgentExists) => {
                if !self.was_ours(&record.name).await {
                    self.forget(local).map_err(on_disk)?;
                    return Err(Failure::Refused(error.to_string()));
                }
                registration.take_over = true;
                self.connection.note(self.connection.repo.register(&registration).await)
            }
            answer => answer,
        };
        match answer {
            Ok(agent) => {
                record.id = Some(agent.id);
                let kept = record.clone();
                self.change(|records| {
                    records.insert(local.to_owned(), kept);
                })
                .map_err(on_disk)?;
                info!(local, name = %record.name, status = status.as_str(), "registered");
                Ok(record)
            }
            Err(error)
                if stops_everything(&error) || matches!(error, Error::RateLimited { .. }) =>
            {
                Err(Failure::Away)
            }
            Err(error) => {
                self.forget(local).map_err(on_disk)?;
                Err(Failure::Refused(error.to_string()))
            }
        }
    }

    /// Is the holder of this name this machine, from before its home was created
    /// again? Its label and its owner say so; the coordinator refuses all the
    /// same while that one lives.
    async fn was_ours(&self, name: &AgentName) -> bool {
        let Ok(agent) = self.connection.note(self.connection.repo.agent(name).await) else {
            return false;
        };
        let label = agent.metadata.get(names::NODE);
        agent.owner == self.home.owner
            && label == Some(&self.home.node)
            && agent.metadata.contains_key(names::BRIDGE)
            && agent.name.as_str().ends_with(&format!("-{}", self.home.node))
    }

    fn forget(&self, local: &str) -> io::Result<()> {
        self.change(|records| {
            records.remove(local);
        })
    }

    /// Deregisters an agent that has ended.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn deregister(&self, local: &str, record: &Record) -> Result<(), Failure> {
        if let Some(id) = &record.id {
            let done =
                self.connection.note(self.connection.repo.deregister(&record.name, Some(id)).await);
            match done {
                Ok(()) => info!(local, name = %record.name, "deregistered"),
                Err(error) if stops_everything(&error) => return Err(Failure::Away),
                Err(error) => warn!(local, name = %record.name, %error, "not deregistered"),
            }
        }
        self.forget(local).map_err(|error| Failure::Refused(error.to_string()))
    }

    /// Signs of life of all agents; the local names of those that the
    /// coordinator does not know any more.
    ///
    /// # Errors
    /// As the call.
    pub async fn beat(
        &self,
        statuses: &BTreeMap<String, AgentStatus>,
    ) -> Result<Vec<String>, Error> {
        let records = self.records();
        let mut unknown = Vec::new();
        let beats: Vec<(String, Heartbeat)> = records
            .into_iter()
            .filter_map(|(local, record)| {
                let status = statuses.get(&local).copied();
                let beat =
                    Heartbeat { name: record.name, id: Some(record.id?), status, metadata: None };
                Some((local, beat))
            })
            .collect();
        for chunk in beats.chunks(HEARTBEATS_MAX) {
            let list: Vec<_> = chunk.iter().map(|(_, beat)| beat.clone()).collect();
            let results = self.connection.note(self.connection.repo.heartbeats(&list).await)?;
            for ((local, beat), result) in chunk.iter().zip(results) {
                if result.result != "ok" {
                    warn!(local, name = %beat.name, result = result.result, "the coordinator does not know this agent as ours any more");
                    unknown.push(local.clone());
                }
            }
        }
        Ok(unknown)
    }

    /// Reads all agents of the repo and its configuration.
    ///
    /// # Errors
    /// As the calls.
    pub async fn refresh(&self) -> Result<(), Error> {
        let agents =
            self.connection.note(self.connection.repo.agents(&AgentFilter::default()).await)?;
        let config = self.connection.note(self.connection.repo.config().await)?.value;
        *locked(&self.read) = Read { agents, config: Some(config), at_ms: crate::clock::wall_ms() };
        Ok(())
    }

    /// The agents of other machines, as last read.
    pub fn others(&self) -> Vec<Agent> {
        let mut agents = self.read().agents;
        agents.retain(|agent| agent.instance.as_deref() != Some(&self.home.instance));
        agents
    }

    /// The other machine that has our label, if there is one.
    pub fn label_conflict(&self) -> Option<String> {
        let read = self.read();
        let other = names::holder_of_label(&read.agents, &self.home.node, &self.home.instance)?;
        // Ours, from before this home was created again.
        if other.owner == self.home.owner && other.status == AgentStatus::Stopped {
            return None;
        }
        Some(format!(
            "another machine is called {} already: {} of {} is there. Choose another label: \
             multiclaude-hybrid config {} --node=LABEL",
            self.home.node, other.name, other.owner, other.repo
        ))
    }
}
