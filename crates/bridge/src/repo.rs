//! One repo: which of its agents are registered, received for, and linked to.
//!
//! [`RepoBridge::pass`] compares what should be with what is and closes the gap.
//! It runs after each change of multiclaude's state, once a minute, and when the
//! coordinator is back. A step that fails is repeated by the next pass.

use crate::clock;
use crate::connection::{Connection, is_for_later};
use crate::dirs::{names as entries_of, write_durably};
use crate::inbox::{Inbox, Receiver, Receiving, Route, Routes, Stage, Stored};
use crate::multiclaude::{Daemon, LocalRepo, Panes, Paths};
use crate::names::{self, Plan};
use crate::presence::{self, Timing};
use crate::registry::{Failure, Record, Registry};
use crate::roles::Roles;
use crate::setup::{self, Machine, RepoSetup};
use crate::spool::{Capture, Outbox, Spool, StateFile, locked};
use crate::trouble::Trouble;
use multiclaude_hybrid_client::protocol::agent::{AgentStatus, Delivery};
use multiclaude_hybrid_client::protocol::message::{MessageStatus, NewMessage, Sender};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{info, warn};

/// How messages come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The coordinator pushes them.
    Webhook,
    /// By stream, or by long polls where there is none.
    Stream,
    /// By long polls.
    Polling,
}

/// What all repos share.
#[derive(Debug)]
pub struct Shared {
    /// multiclaude's files.
    pub paths: Paths,
    /// Its state.
    pub state: Arc<StateFile>,
    /// Its daemon.
    pub daemon: Daemon,
    /// The settings.
    pub machine: Arc<dyn Machine>,
    /// Types that this machine serves.
    pub serve: BTreeSet<String>,
    /// The thread that takes files.
    pub capture: Arc<Capture>,
    /// Where pushes come in.
    pub routes: Arc<Routes>,
    /// The times that it goes by.
    pub timing: Timing,
    /// Never by stream.
    pub polling: bool,
    /// The windows with a running claude, as last seen.
    pub panes: Mutex<Panes>,
    /// Does multiclaude's daemon answer?
    pub daemon_is_up: AtomicBool,
}

impl Shared {
    /// Looks which windows have a running claude now.
    pub async fn look_at_panes(&self) {
        let panes = Panes::look().await;
        *locked(&self.panes) = panes;
    }
}

/// One repo.
#[derive(Debug)]
pub struct RepoBridge {
    /// What it was set up with.
    pub setup: RepoSetup,
    shared: Arc<Shared>,
    /// The coordinator.
    pub connection: Arc<Connection>,
    /// The registered agents.
    pub registry: Arc<Registry>,
    /// Outgoing.
    pub spool: Arc<Spool>,
    /// Outgoing, at work.
    pub outbox: Arc<Outbox>,
    /// Incoming.
    pub inbox: Arc<Inbox>,
    /// Woken when the coordinator does not know an agent any more.
    pub superseded: Arc<Notify>,
    stood_down: Mutex<BTreeSet<String>>,
    receivers: Mutex<BTreeMap<String, Receiver>>,
    /// Do pushes reach this machine?
    pushed: AtomicBool,
    /// Local names whose registration this process has renewed.
    renewed: Mutex<BTreeSet<String>>,
    /// Since when the state lacks an agent, on the clock that stops in a
    /// suspension.
    absent: Mutex<BTreeMap<String, Duration>>,
    statuses: Mutex<BTreeMap<String, AgentStatus>>,
    /// When the list was read with which a registration was refused, by local
    /// name: it is tried again with the next list.
    tried_ms: Mutex<BTreeMap<String, i64>>,
    /// Were pushes tried since the agents were registered?
    push_tried: AtomicBool,
    names_trouble: Trouble,
    roles_trouble: Trouble,
}

/// The parts of a [`RepoBridge`] that are made elsewhere.
#[derive(Debug)]
pub struct Parts {
    /// The coordinator.
    pub connection: Arc<Connection>,
    /// The registered agents.
    pub registry: Arc<Registry>,
    /// Outgoing.
    pub outbox: Arc<Outbox>,
}

impl RepoBridge {
    /// Puts the parts together.
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
                "the names of other machines cannot be written down",
                "the names of other machines can be written down again",
            ),
            roles_trouble: Trouble::new(
                "a role that stands down came back, and cannot be stood down",
                "the role that came back is stood down",
            ),
        }
    }

    /// The roles that stand down from now on.
    pub fn set_stood_down(&self, roles: BTreeSet<String>) {
        *locked(&self.stood_down) = roles;
    }

    /// The times that it goes by.
    pub fn timing(&self) -> Timing {
        self.shared.timing
    }

    /// The statuses that were last reported, by local name.
    pub fn statuses(&self) -> BTreeMap<String, AgentStatus> {
        locked(&self.statuses).clone()
    }

    /// Agents that are not registered, and why.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.registry.refused()
    }

    /// How messages come in.
    pub fn way(&self) -> Way {
        if self.pushed.load(Ordering::Relaxed) {
            Way::Webhook
        } else if self.shared.polling {
            Way::Polling
        } else {
            Way::Stream
        }
    }

    /// Closes the gap between what should be and what is; `minute`: also what is
    /// done once a minute.
    pub async fn pass(&self, minute: bool) {
        let state = self.shared.state.read();
        let local = state.as_ref().and_then(|state| state.repos.get(&self.setup.nickname));
        let stood_down = locked(&self.stood_down).clone();
        self.keep_down(local, &stood_down).await;
        let stood_down = locked(&self.stood_down).clone();
        let agents = local.into_iter().flat_map(|local| &local.agents);
        let agents = agents.filter(|(name, _)| !stood_down.contains(*name));
        let plan = names::plan(agents, &self.registry.home().node, &self.shared.serve);
        match local {
            Some(local) => locked(&self.absent).retain(|name, _| !local.agents.contains_key(name)),
            // Nobody knows: no time runs.
            None => locked(&self.absent).clear(),
        }
        self.adopt_renamed(local, &plan);
        // Incoming messages of agents that are here need no coordinator.
        let (inbox, names): (_, Vec<_>) =
            (Arc::clone(&self.inbox), plan.names.keys().cloned().collect());
        let placed =
            tokio::task::spawn_blocking(move || names.iter().for_each(|name| inbox.place(name)));
        if let Err(error) = placed.await {
            warn!(%error, "messages were not placed");
        }
        if self.registry.read().config.is_none() {
            let _ = self.registry.refresh().await;
        }
        let is_new = |name: &String| self.registry.record(name).is_none();
        if plan.names.keys().any(is_new) {
            // Which session it belongs to, and whether its claude runs yet.
            self.shared.look_at_panes().await;
        }
        self.set_statuses(local, &plan);
        self.register(local, &plan).await;
        self.end_gone(local, &plan).await;
        if minute && self.connection.is_online() {
            self.once_a_minute(local).await;
        }
        let names = self.set_names(&stood_down);
        self.names_trouble.note(self.setup.repo.as_str(), names);
        self.receive().await;
    }

    /// After a lost session the workspace `default` comes back as `workspace`: the
    /// same agent, whose registration and mail it keeps.
    fn adopt_renamed(&self, local: Option<&LocalRepo>, plan: &Plan) {
        let Some(local) = local else {
            return;
        };
        for (name, registered) in &plan.names {
            let records = self.registry.records();
            let old = records.iter().find(|(old, record)| {
                record.name == *registered && *old != name && !local.agents.contains_key(*old)
            });
            let Some((old, _)) = old.filter(|_| !records.contains_key(name)) else {
                continue;
            };
            locked(&self.receivers).remove(old);
            let moved =
                self.inbox.store().rename(old, name).and_then(|()| self.registry.rename(old, name));
            match moved {
                Ok(()) => {
                    info!(repo = %self.setup.repo, old, name, "the same agent under another local name");
                }
                Err(error) => {
                    warn!(repo = %self.setup.repo, old, name, %error, "its mail was not moved");
                }
            }
        }
    }

    /// A role that stands down and came back after a lost session is retired
    /// again, after what was written to it was taken.
    async fn keep_down(&self, local: Option<&LocalRepo>, stood_down: &BTreeSet<String>) {
        let Some(local) = local else {
            return;
        };
        if !stood_down.iter().any(|role| local.agents.contains_key(role)) {
            return;
        }
        // It may have been brought back this moment.
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
        let known = self.registry.records();
        let names: BTreeSet<_> = known.keys().chain(plan.names.keys()).collect();
        *locked(&self.statuses) =
            names.into_iter().map(|name| (name.clone(), status(name))).collect();
    }

    fn status_of(&self, local: &str) -> AgentStatus {
        locked(&self.statuses).get(local).copied().unwrap_or(AgentStatus::Stopped)
    }

    /// Registers the agents that are new, and renews the others once.
    async fn register(&self, local: Option<&LocalRepo>, plan: &Plan) {
        let mut refused = plan.refused.clone();
        let before = self.registry.refused();
        let read_ms = self.registry.read().at_ms;
        let conflict = self.registry.label_conflict();
        for (name, registered) in &plan.names {
            let Some((repo, agent)) = local.and_then(|repo| Some((repo, repo.agents.get(name)?)))
            else {
                continue;
            };
            let known = self.registry.record(name);
            // Another agent of the same name comes after the end of the first.
            let differs = |known: &Record| {
                known.name != *registered || presence::is_successor(agent, &known.created_at)
            };
            if known.as_ref().is_some_and(differs) {
                continue;
            }
            let is_registered = known.as_ref().is_some_and(|record| record.id.is_some());
            if is_registered && locked(&self.renewed).contains(name) {
                continue;
            }
            if !self.connection.is_online() || self.registry.read().config.is_none() {
                return;
            }
            if locked(&self.tried_ms).get(name) == Some(&read_ms)
                && let Some(reason) = before.get(name)
            {
                refused.insert(name.clone(), reason.clone());
                continue;
            }
            if let Some(reason) = &conflict {
                refused.insert(name.clone(), reason.clone());
                continue;
            }
            let session = locked(&self.shared.panes).session_created(&repo.tmux_target());
            let record = known.unwrap_or_else(|| Record {
                name: registered.clone(),
                id: None,
                kind: agent.r#type.clone(),
                created_at: agent.created_at.clone(),
                session_secs: session.unwrap_or_default(),
            });
            match self.registry.register(name, record, self.status_of(name)).await {
                Ok(_) => {
                    locked(&self.renewed).insert(name.clone());
                }
                Err(Failure::Away) => return,
                Err(Failure::Refused(reason)) => {
                    locked(&self.tried_ms).insert(name.clone(), read_ms);
                    refused.insert(name.clone(), reason);
                }
            }
        }
        for (name, reason) in &refused {
            if !before.contains_key(name) {
                warn!(repo = %self.setup.repo, local = name, reason, "not registered");
            }
        }
        self.registry.set_refused(refused);
    }

    /// Ends the registrations of agents that have gone: what they wrote is sent
    /// first, and what they never saw is reported to its sender.
    async fn end_gone(&self, local: Option<&LocalRepo>, plan: &Plan) {
        for (name, record) in self.registry.records() {
            let agent = local.and_then(|repo| repo.agents.get(&name));
            let replaced = match (plan.names.get(&name), agent) {
                (Some(planned), Some(agent)) => {
                    let successor = presence::is_successor(agent, &record.created_at);
                    (*planned != record.name || successor)
                        .then(|| successor.then(|| agent.created_at.clone()))
                }
                _ => None,
            };
            let ends = match (&replaced, local) {
                (Some(_), _) => true,
                (None, Some(_)) if locked(&self.stood_down).contains(&name) => true,
                (None, Some(repo)) if agent.is_none() => self.is_over(repo, &name, &record),
                _ => false,
            };
            if !ends {
                continue;
            }
            let before = replaced.flatten().and_then(|created| nanos(&created)).unwrap_or(i64::MAX);
            if !self.connection.is_online() || self.has_from(&name, before).await {
                continue;
            }
            locked(&self.receivers).remove(&name);
            if let Some(endpoint) = self.registry.endpoint(&record.name) {
                self.shared.routes.remove(&endpoint.path);
            }
            if !self.answer_unseen(&name, &record).await {
                continue;
            }
            match self.registry.deregister(&name, &record).await {
                Ok(()) => {}
                Err(Failure::Away) => continue,
                Err(Failure::Refused(reason)) => warn!(local = name, reason, "not deregistered"),
            }
            locked(&self.renewed).remove(&name);
            locked(&self.absent).remove(&name);
        }
    }

    /// Does a message wait that an agent wrote before this time?
    async fn has_from(&self, name: &str, before_nanos: i64) -> bool {
        let (spool, name) = (Arc::clone(&self.spool), name.to_owned());
        let found = tokio::task::spawn_blocking(move || spool.has_from(&name, before_nanos)).await;
        !matches!(found, Ok(Ok(false)))
    }

    fn is_over(&self, repo: &LocalRepo, name: &str, record: &Record) -> bool {
        let since = *locked(&self.absent).entry(name.to_owned()).or_insert_with(clock::awake);
        let session = locked(&self.shared.panes).session_created(&repo.tmux_target());
        let ended = presence::has_ended(repo, name, &record.created_at);
        let session_lost =
            !ended && record.session_secs != 0 && session != Some(record.session_secs);
        presence::is_over(clock::awake().saturating_sub(since), session_lost, &self.shared.timing)
    }

    /// Tells the senders of messages that an agent never saw; whether all were
    /// told.
    async fn answer_unseen(&self, local: &str, record: &Record) -> bool {
        let store = self.inbox.store();
        for id in store.ids(local, Stage::New).unwrap_or_default() {
            let Ok(stored) = store.get(local, Stage::New, &id) else {
                continue;
            };
            if let Stored::Message { message, .. } = stored
                && let Sender::Agent(from) = &message.from
            {
                let body = format!(
                    "Your message {} was not seen by {}: it has ended. Nobody will read it.",
                    message.id, record.name
                );
                let answer = NewMessage {
                    reply_to: Some(message.id.clone()),
                    ..NewMessage::new(Sender::Agent(record.name.clone()), from.clone(), &body)
                };
                let key = format!("unseen-{}", message.id);
                let sent =
                    self.connection.note(self.connection.repo.send(&answer, Some(&key)).await);
                match sent {
                    Err(error) if is_for_later(&error) => return false,
                    Err(error) => warn!(local, id, %error, "its sender could not be told"),
                    Ok(_) => {}
                }
            }
            if let Err(error) = store.advance(local, &id, Stage::New, Stage::Done) {
                warn!(local, id, %error, "not moved");
                return false;
            }
        }
        true
    }

    /// Heartbeats, the list of agents, and the check of how messages come in.
    async fn once_a_minute(&self, local: Option<&LocalRepo>) {
        let session = local
            .and_then(|local| locked(&self.shared.panes).session_created(&local.tmux_target()));
        if let (Some(local), Some(session)) = (local, session) {
            for name in local.agents.keys() {
                if let Err(error) = self.registry.set_session(name, session) {
                    warn!(%error, "the registrations cannot be written");
                }
            }
        }
        let statuses = self.statuses();
        if let Ok(unknown) = self.registry.beat(&statuses).await {
            let mut renewed = locked(&self.renewed);
            for name in unknown {
                renewed.remove(&name);
            }
        }
        let _ = self.registry.refresh().await;
        self.check_pushes().await;
        if let Err(error) = self.inbox.store().prune() {
            warn!(%error, "old messages cannot be removed");
        }
    }

    /// With a public URL, pushes are tried whenever they do not work.
    async fn check_pushes(&self) {
        let records = self.registry.records();
        let Some(first) = records.values().find(|record| record.id.is_some()) else {
            return;
        };
        if self.registry.endpoint(&first.name).is_none() {
            return;
        }
        let names: BTreeSet<_> = records.values().map(|record| &record.name).collect();
        let agents = self.registry.read().agents;
        let all_pushed = agents
            .iter()
            .filter(|agent| names.contains(&agent.name))
            .all(|agent| agent.delivery == Delivery::Webhook && agent.delivery_reason.is_none());
        if self.pushed.load(Ordering::Relaxed) && all_pushed {
            return;
        }
        let test = self.connection.note(self.connection.repo.test_endpoint(&first.name).await);
        let works = test.as_ref().is_ok_and(|test| test.ok);
        if self.pushed.swap(works, Ordering::Relaxed) != works {
            if works {
                info!(repo = %self.setup.repo, "messages come by webhook");
            } else {
                let reason = match test {
                    Ok(test) => test.error.unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                warn!(repo = %self.setup.repo, reason, "webhooks do not arrive; messages come by stream");
            }
        }
    }

    /// Says which names are on other machines. Links of agents that have left
    /// stay for a while ([`Timing::link`]).
    fn set_names(&self, stood_down: &BTreeSet<String>) -> io::Result<()> {
        let path = self.spool.dirs.links();
        let before = self.spool.known_names();
        let mut seen = before.clone();
        let (now, kept_ms) = (clock::wall_ms(), self.shared.timing.link.as_millis() as i64);
        let others: BTreeSet<String> =
            self.registry.others().iter().map(|agent| agent.name.to_string()).collect();
        for name in entries_of(&self.spool.messages)? {
            if self.spool.messages.join(&name).is_symlink() {
                seen.entry(name).or_insert(now);
            }
        }
        // Its minute is enough: nothing is written while nothing changes.
        for name in &others {
            let at = seen.entry(name.clone()).or_insert(now);
            if now - *at > kept_ms / 24 {
                *at = now;
            }
        }
        let (kept, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
            seen.into_iter().partition(|(name, at)| others.contains(name) || now - at <= kept_ms);
        let remote: BTreeSet<String> = kept.keys().cloned().collect();
        let gone: BTreeSet<String> = self.registry.records().into_keys().collect();
        self.spool.set_names(remote, stood_down.clone(), gone);
        self.shared.capture.nudge();
        if kept != before {
            write_durably(&path, &serde_json::to_vec_pretty(&kept)?, 0o600)?;
        }
        for name in left.keys().filter(|name| !stood_down.contains(*name)) {
            self.spool.links.unlink(name)?;
        }
        Ok(())
    }

    /// Receives for every registered agent, in the way that works.
    async fn receive(&self) {
        let records = self.registry.records();
        let is_registered = records.values().any(|record| record.id.is_some());
        if self.registry.home().public_url.is_some()
            && is_registered
            && self.connection.is_online()
            && !self.push_tried.swap(true, Ordering::Relaxed)
        {
            self.set_routes(&records);
            self.check_pushes().await;
        }
        self.set_routes(&records);
        let pushed = self.pushed.load(Ordering::Relaxed);
        let mut receivers = locked(&self.receivers);
        receivers.retain(|name, receiver| {
            let current =
                records.get(name).is_some_and(|record| record.id.as_ref() == Some(&receiver.id));
            let ended = receiver.has_ended();
            if ended {
                locked(&self.renewed).remove(name);
            }
            current && !ended && !pushed
        });
        if pushed {
            return;
        }
        for (name, record) in records {
            let Some(id) = record.id.filter(|_| locked(&self.renewed).contains(&name)) else {
                continue;
            };
            receivers.entry(name.clone()).or_insert_with(|| {
                Receiver::start(Receiving {
                    connection: Arc::clone(&self.connection),
                    inbox: Arc::clone(&self.inbox),
                    local: name,
                    name: record.name,
                    id,
                    polling: self.shared.polling,
                    superseded: Arc::clone(&self.superseded),
                })
            });
        }
    }

    fn set_routes(&self, records: &BTreeMap<String, Record>) {
        for (local, record) in records {
            if let (Some(endpoint), Some(id)) = (self.registry.endpoint(&record.name), &record.id) {
                let route = Route {
                    local: local.clone(),
                    id: id.clone(),
                    name: record.name.to_string(),
                    secret: endpoint.secret,
                    inbox: Arc::clone(&self.inbox),
                };
                self.shared.routes.set(&endpoint.path, route);
            }
        }
    }

    /// Reports what agents have acknowledged since the last time.
    pub async fn report_acks(&self) {
        if !self.connection.is_online() {
            return;
        }
        for local in self.inbox.store().locals().unwrap_or_default() {
            for acked in self.inbox.acked(&local).unwrap_or_default() {
                let id = acked.message.id.to_string();
                let report = self.connection.repo.report(
                    &acked.message.id,
                    MessageStatus::Acked,
                    acked.agent.as_ref(),
                );
                match self.connection.note(report.await) {
                    Err(error) if is_for_later(&error) => return,
                    Err(error) => warn!(local, id, %error, "the acknowledgement was refused"),
                    Ok(_) => info!(local, id, "acknowledged"),
                }
                if let Err(error) = self.inbox.done(&local, &id) {
                    warn!(local, id, %error, "not moved");
                }
            }
        }
    }

    /// Marks all agents stopped; the bridge ends.
    pub async fn stop(&self, within: Duration) {
        locked(&self.receivers).clear();
        for record in self.registry.records().values() {
            if let Some(endpoint) = self.registry.endpoint(&record.name) {
                self.shared.routes.remove(&endpoint.path);
            }
        }
        self.outbox.stop();
        let stopped =
            self.registry.records().into_keys().map(|name| (name, AgentStatus::Stopped)).collect();
        if self.connection.is_online() {
            let _ = tokio::time::timeout(within, self.registry.beat(&stopped)).await;
        }
    }
}

fn nanos(time: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(time).ok()?.timestamp_nanos_opt()
}
