//! One repo: keeps registrations, reception and links up to date.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | the pass, statuses, roles and names of other machines |
//! | `agents` | registrations: new agents, and those that have ended |
//! | `shared` | state that all repos share |
//! | `receiving` | receives messages, and reports what agents did with them |
//! | `tools` | the tools of agents' MCP servers |
//!
//! [`RepoBridge::pass`] brings everything up to date. It runs after each change of
//! multiclaude's state, once a minute, and when the coordinator is back. The next pass
//! repeats a step that failed.

mod agents;
mod receiving;
mod shared;
mod tools;

pub use shared::{Shared, Transport};

use crate::clock;
use crate::connection::Connection;
use crate::dirs::{names as entries_of, write_durably};
use crate::inbox::{Inbox, Receiver};
use crate::lock::locked;
use crate::multiclaude::LocalRepo;
use crate::names::{self, Plan};
use crate::outbox::Outbox;
use crate::presence::{self, Timing};
use crate::registry::Registry;
use crate::roles::Roles;
use crate::setup::{self, RepoSetup};
use crate::spool::Spool;
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::warn;

/// The bridge of one repo.
#[derive(Debug)]
pub struct RepoBridge {
    /// The repo's settings.
    pub setup: RepoSetup,
    shared: Arc<Shared>,
    /// The connection to the coordinator.
    pub connection: Arc<Connection>,
    /// The registered agents.
    pub registry: Arc<Registry>,
    /// Outgoing messages on disk.
    pub spool: Arc<Spool>,
    /// The sender of outgoing messages.
    pub outbox: Arc<Outbox>,
    /// Incoming messages.
    pub inbox: Arc<Inbox>,
    /// Notified when the coordinator does not know an agent any more.
    pub superseded: Arc<Notify>,
    stood_down: Mutex<BTreeSet<String>>,
    receivers: Mutex<BTreeMap<String, Receiver>>,
    /// Do pushes reach this machine?
    pushed: AtomicBool,
    /// Local names whose registration this process has renewed.
    renewed: Mutex<BTreeSet<String>>,
    /// Since when agents are missing in the state, by a clock that does not count
    /// suspension.
    absent: Mutex<BTreeMap<String, Duration>>,
    statuses: Mutex<BTreeMap<String, AgentStatus>>,
    /// The time of the list of agents with which a registration was refused, by local name:
    /// it is tried again with the next list.
    tried_ms: Mutex<BTreeMap<String, i64>>,
    /// Were pushes tried since the agents were registered?
    push_tried: AtomicBool,
    names_trouble: Trouble,
    roles_trouble: Trouble,
}

/// The parts of a [`RepoBridge`] that are made elsewhere.
#[derive(Debug)]
pub struct Parts {
    /// The connection to the coordinator.
    pub connection: Arc<Connection>,
    /// The registered agents.
    pub registry: Arc<Registry>,
    /// The sender of outgoing messages.
    pub outbox: Arc<Outbox>,
}

impl RepoBridge {
    /// Combines the parts.
    pub fn new(setup: RepoSetup, shared: Arc<Shared>, parts: Parts) -> Self {
        Self {
            stood_down: Mutex::new(setup.stood_down.clone()),
            setup,
            shared,
            connection: parts.connection,
            registry: parts.registry,
            spool: Arc::clone(&parts.outbox.spool),
            inbox: Arc::clone(&parts.outbox.inbox),
            outbox: parts.outbox,
            superseded: Arc::new(Notify::new()),
            receivers: Mutex::default(),
            pushed: AtomicBool::new(false),
            renewed: Mutex::default(),
            absent: Mutex::default(),
            statuses: Mutex::default(),
            tried_ms: Mutex::default(),
            push_tried: AtomicBool::new(false),
            names_trouble: Trouble::new(
                "the names of other machines cannot be stored",
                "the names of other machines can be stored again",
            ),
            roles_trouble: Trouble::new(
                "a role that stands down came back, and cannot be stood down again",
                "the role that came back is stood down",
            ),
        }
    }

    /// Sets the roles that stand down from now on.
    pub fn set_stood_down(&self, roles: BTreeSet<String>) {
        *locked(&self.stood_down) = roles;
    }

    /// The times that this bridge uses.
    pub fn timing(&self) -> Timing {
        self.shared.timing
    }

    /// The statuses of the last pass, by local name.
    pub fn statuses(&self) -> BTreeMap<String, AgentStatus> {
        locked(&self.statuses).clone()
    }

    /// Agents that are not registered, and why.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.registry.refused()
    }

    /// How messages are received.
    pub fn transport(&self) -> Transport {
        if self.pushed.load(Ordering::Relaxed) {
            Transport::Webhook
        } else if self.shared.polling {
            Transport::Polling
        } else {
            Transport::Stream
        }
    }

    /// Brings everything up to date. If `is_due`, also does the work of every minute.
    pub async fn pass(&self, is_due: bool) {
        let state = self.shared.state.read();
        let local = state.as_ref().and_then(|state| state.repos.get(&self.setup.nickname));
        let stood_down = locked(&self.stood_down).clone();
        self.retire_again(local, &stood_down).await;
        let stood_down = locked(&self.stood_down).clone();
        let agents = local.into_iter().flat_map(|local| &local.agents);
        let agents = agents.filter(|(name, _)| !stood_down.contains(*name));
        let plan = names::plan(agents, &self.registry.home().node, &self.shared.serve);
        match local {
            Some(local) => locked(&self.absent).retain(|name, _| !local.agents.contains_key(name)),
            // Without a state it is not known which agents are missing.
            None => locked(&self.absent).clear(),
        }
        self.move_renamed(local, &plan);
        // Placing messages for local agents needs no coordinator.
        let inbox = Arc::clone(&self.inbox);
        let placed = tokio::task::spawn_blocking(move || inbox.place_all());
        if let Err(error) = placed.await {
            warn!(%error, "messages were not placed");
        }
        if self.registry.read().config.is_none() {
            let _ = self.registry.refresh().await;
        }
        let is_new = |name: &String| self.registry.records.get(name).is_none();
        let is_stopped = |name: &String| self.status_of(name) == AgentStatus::Stopped;
        if plan.names.keys().any(|name| is_new(name) || is_stopped(name)) {
            // Find out its session, and whether its claude runs now.
            self.shared.look_at_panes().await;
        }
        let before = self.statuses();
        self.set_statuses(local, &plan);
        // The successor of a worker is registered right after the worker's end.
        self.deregister_ended(local, &plan).await;
        self.register(local, &plan).await;
        if self.connection.is_online() {
            if is_due {
                self.once_a_minute(local).await;
            } else if presence::has_changed(&before, &self.statuses()) {
                self.send_heartbeat().await;
            }
        }
        let names = self.set_names(&stood_down);
        self.names_trouble.note(self.setup.repo.as_str(), names);
        self.receive().await;
    }

    /// Retires a role again that stands down and came back after a lost session, after the
    /// messages to it were taken.
    async fn retire_again(&self, local: Option<&LocalRepo>, stood_down: &BTreeSet<String>) {
        let Some(local) = local else {
            return;
        };
        if !stood_down.iter().any(|role| local.agents.contains_key(role)) {
            return;
        }
        // The settings may have just changed.
        let Ok(setup) = setup::read(&self.shared.machine).await else {
            return;
        };
        let ours = setup.repos.into_iter().find(|setup| setup.repo == self.setup.repo);
        let still = ours.map(|setup| setup.stood_down).unwrap_or_default();
        self.set_stood_down(still.clone());
        for role in still.iter().filter(|role| local.agents.contains_key(*role)) {
            if let Err(error) = self.spool.take() {
                warn!(%error, "messages cannot be taken");
            }
            let roles = Roles::new(
                &self.shared.paths,
                &self.shared.daemon,
                &self.setup.nickname,
                &self.spool.dirs,
            );
            let retired = roles.retire(local, role).await;
            if self.roles_trouble.note(role, retired).is_some() {
                warn!(repo = %self.setup.repo, role, "it came back; stood down again");
            }
        }
    }

    fn set_statuses(&self, local: Option<&LocalRepo>, plan: &Plan) {
        let panes = locked(&self.shared.panes);
        let up = self.shared.daemon_is_up.load(Ordering::Relaxed);
        let now_secs = clock::wall_ms() / 1000;
        let status = |name: &String| {
            let here = local.filter(|_| plan.names.contains_key(name));
            let agent = here.and_then(|local| Some((local, local.agents.get(name)?)));
            let activity =
                agent.and_then(|(local, agent)| panes.claude(&local.tmux_target(), agent));
            presence::status(up, activity.map(|pane| pane.activity_secs), now_secs)
        };
        let known = self.registry.records.all();
        let names: BTreeSet<_> = known.keys().chain(plan.names.keys()).collect();
        *locked(&self.statuses) =
            names.into_iter().map(|name| (name.clone(), status(name))).collect();
    }

    fn status_of(&self, local: &str) -> AgentStatus {
        locked(&self.statuses).get(local).copied().unwrap_or(AgentStatus::Stopped)
    }

    /// Sends heartbeats, reads the list of agents, and checks whether pushes arrive.
    async fn once_a_minute(&self, local: Option<&LocalRepo>) {
        let session = local
            .and_then(|local| locked(&self.shared.panes).session_created(&local.tmux_target()));
        if let (Some(local), Some(session)) = (local, session) {
            let noted = self.registry.records.set_session(local.agents.keys(), session);
            if let Err(error) = noted {
                warn!(%error, "the registrations cannot be written");
            }
        }
        self.send_heartbeat().await;
        let _ = self.registry.refresh().await;
        self.check_pushes().await;
        if let Err(error) = self.inbox.store().prune() {
            warn!(%error, "old messages cannot be removed");
        }
    }

    /// Reports the statuses of all agents, in one call.
    async fn send_heartbeat(&self) {
        let statuses = self.statuses();
        if let Ok(unknown) = self.registry.heartbeat(&statuses, &self.inbox.held_by_agent()).await {
            let mut renewed = locked(&self.renewed);
            for name in unknown {
                renewed.remove(&name);
            }
        }
    }

    /// Updates the names of other machines. Links of departed agents stay for a while
    /// ([`Timing::link`]).
    fn set_names(&self, stood_down: &BTreeSet<String>) -> io::Result<()> {
        let path = self.spool.dirs.links();
        let before = self.spool.known_names();
        let mut seen = before.clone();
        let now = clock::wall_ms();
        let others: BTreeSet<String> =
            self.registry.others().iter().map(|agent| agent.name.to_string()).collect();
        for name in entries_of(&self.spool.messages)? {
            if self.spool.messages.join(&name).is_symlink() {
                seen.entry(name).or_insert(now);
            }
        }
        let (kept, left) = presence::links(seen, &others, now, &self.shared.timing);
        let remote: BTreeSet<String> = kept.keys().cloned().collect();
        let registered: BTreeSet<String> = self.registry.records.all().into_keys().collect();
        self.spool.set_names(remote, stood_down.clone(), registered);
        self.shared.capture.nudge();
        if kept != before {
            write_durably(&path, &serde_json::to_vec_pretty(&kept)?, 0o600)?;
        }
        for name in left.iter().filter(|name| !stood_down.contains(*name)) {
            self.spool.links.unlink(name)?;
        }
        Ok(())
    }

    /// Stops the bridge, and marks all agents as stopped.
    pub async fn stop(&self, within: Duration) {
        locked(&self.receivers).clear();
        for record in self.registry.records.all().values() {
            if let Some(endpoint) = self.registry.endpoint(&record.name) {
                self.shared.routes.remove(&endpoint.path);
            }
        }
        self.outbox.stop();
        let stopped = self
            .registry
            .records
            .all()
            .into_keys()
            .map(|name| (name, AgentStatus::Stopped))
            .collect();
        if self.connection.is_online() {
            let _ =
                tokio::time::timeout(within, self.registry.heartbeat(&stopped, &BTreeMap::new()))
                    .await;
        }
    }
}
