//! What `bridge status` shows. A running bridge writes it to `status.json`
//! whenever it changes.

use crate::connection::Reach;
use crate::inbox::Stage;
use crate::lock::locked;
use crate::repo::{RepoBridge, Way};
use crate::spool::{entries, recipients};
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bridge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it was started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// The label of this machine.
    pub node: String,
    /// Why the settings cannot be read, if so: the bridge goes on with the last
    /// ones.
    pub settings_error: Option<String>,
    /// Does multiclaude's daemon answer?
    pub daemon: bool,
    /// Types that this machine serves.
    pub serve: Vec<String>,
    /// Calls of the coordinator since midnight, UTC.
    pub requests_today: u64,
    /// Directories that cannot be watched, and why: messages there are taken by
    /// looking.
    pub unwatched: BTreeMap<String, String>,
    /// multiclaude's names of repos that cannot be served, and why.
    pub refused: BTreeMap<String, String>,
    /// The repos.
    pub repos: Vec<RepoStatus>,
}

/// One repo.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepoStatus {
    /// `owner/repo`.
    pub repo: String,
    /// multiclaude's name for it.
    pub nickname: String,
    /// The coordinator.
    pub url: String,
    /// Does the coordinator answer?
    pub online: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Since when that is so, in milliseconds since the epoch.
    pub since_ms: i64,
    /// When the coordinator last answered, in milliseconds since the epoch.
    pub last_contact_ms: i64,
    /// Why the agents of the repo cannot be read, although the coordinator answers.
    pub unread: Option<String>,
    /// How messages come in: `webhook`, `stream` or `polling`.
    pub delivery: String,
    /// The registered agents.
    pub agents: Vec<AgentLine>,
    /// Agents that are not registered, and why.
    pub not_registered: BTreeMap<String, String>,
    /// Roles whose local agents stand down.
    pub stood_down: Vec<String>,
    /// Messages on their way out, by recipient.
    pub outgoing: BTreeMap<String, Outgoing>,
    /// Incoming messages that wait on this machine.
    pub held: Vec<Held>,
    /// Names that cannot be linked, and why.
    pub unlinked: BTreeMap<String, String>,
    /// Message files that never became readable, or that nobody could be told of.
    pub damaged: usize,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentLine {
    /// Its name here.
    pub local: String,
    /// Its registered name.
    pub name: String,
    /// What was last reported of it.
    pub status: String,
    /// Messages that it has not acknowledged.
    pub unacknowledged: usize,
    /// Does its session have our MCP server?
    #[serde(default)]
    pub channel: bool,
}

/// Messages for one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// How many.
    pub waiting: usize,
    /// Why the first one waits, if it was tried.
    pub reason: Option<String>,
}

/// An incoming message that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its id.
    pub id: String,
    /// For whom.
    pub to: String,
    /// Why.
    pub reason: String,
}

impl RepoStatus {
    /// Of a repo, now.
    pub fn of(bridge: &RepoBridge) -> Self {
        let (reach, since_ms) = bridge.connection.reach();
        let statuses = bridge.statuses();
        let agents =
            bridge.registry.records.all().into_iter().filter(|(_, record)| record.id.is_some());
        let agents = agents.map(|(local, record)| AgentLine {
            name: record.name.to_string(),
            status: statuses
                .get(&local)
                .copied()
                .unwrap_or(AgentStatus::Stopped)
                .as_str()
                .to_owned(),
            unacknowledged: bridge.inbox.unacknowledged(&local),
            channel: bridge.has_channel(&local),
            local,
        });
        let reasons = locked(&bridge.outbox.waiting).clone();
        let mut outgoing = BTreeMap::new();
        for recipient in recipients(&bridge.spool.dirs).unwrap_or_default() {
            let waiting =
                entries(&bridge.spool.dirs, &recipient).map_or(0, |entries| entries.len());
            if waiting > 0 {
                let reason = reasons.get(&recipient).cloned();
                outgoing.insert(recipient, Outgoing { waiting, reason });
            }
        }
        let mut held: Vec<Held> = Vec::new();
        let known = bridge.inbox.held();
        for local in bridge.inbox.store().locals().unwrap_or_default() {
            for id in bridge.inbox.store().ids(&local, Stage::New).unwrap_or_default() {
                let reason = known.get(&(local.clone(), id.clone())).cloned();
                let reason = reason.unwrap_or_else(|| format!("{local} is not running here"));
                held.push(Held { id, to: local.clone(), reason });
            }
            let waiting = bridge.inbox.hop_waiting(&local).into_iter();
            held.extend(waiting.map(|(id, reason)| Held { id, to: local.clone(), reason }));
        }
        Self {
            repo: bridge.setup.repo.to_string(),
            nickname: bridge.setup.nickname.clone(),
            url: bridge.setup.client.base().to_string(),
            online: reach == Reach::Online,
            reason: match reach {
                Reach::Online => None,
                Reach::Away(reason) => Some(reason),
            },
            since_ms,
            last_contact_ms: bridge.connection.last_contact_ms(),
            unread: bridge.registry.unread.reason(),
            delivery: match bridge.way() {
                Way::Webhook => "webhook",
                Way::Stream => "stream",
                Way::Polling => "polling",
            }
            .to_owned(),
            agents: agents.collect(),
            not_registered: bridge.refused(),
            stood_down: bridge.spool.stood_down().into_iter().collect(),
            outgoing,
            held,
            unlinked: bridge.spool.unlinked(),
            damaged: crate::dirs::names(&bridge.spool.dirs.damaged())
                .map_or(0, |names| names.len()),
        }
    }
}
