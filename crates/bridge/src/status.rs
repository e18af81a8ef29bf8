//! The content of `bridge status`. A running bridge writes it to `status.json` whenever
//! it changes.

use crate::connection::Reach;
use crate::inbox::Stage;
use crate::lock::locked;
use crate::repo::{RepoBridge, Transport};
use crate::spool::{entries, recipients};
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a running bridge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The id of its process.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// When it was started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// The label of this machine.
    pub node: String,
    /// Why the settings cannot be read, if so. The bridge goes on with the last ones.
    pub settings_error: Option<String>,
    /// Does multiclaude's daemon answer?
    pub daemon: bool,
    /// Types that this machine serves under their bare names.
    pub serve: Vec<String>,
    /// Requests to the coordinator since midnight, UTC.
    pub requests_today: u64,
    /// Directories that cannot be watched, and why. They are scanned instead.
    pub unwatched: BTreeMap<String, String>,
    /// multiclaude's names of repos that cannot be served, and why.
    pub refused: BTreeMap<String, String>,
    /// The repos that are served.
    pub repos: Vec<RepoStatus>,
}

/// The state of one repo.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepoStatus {
    /// `owner/repo`.
    pub repo: String,
    /// multiclaude's name for it.
    pub nickname: String,
    /// The coordinator's URL.
    pub url: String,
    /// Does the coordinator answer?
    pub online: bool,
    /// Why it does not answer, if so.
    pub reason: Option<String>,
    /// The time of the last change of `online`, in milliseconds since the epoch.
    pub since_ms: i64,
    /// When the coordinator last answered, in milliseconds since the epoch.
    pub last_contact_ms: i64,
    /// Why the agents of the repo cannot be read, although the coordinator answers.
    pub unread: Option<String>,
    /// How messages are received: `webhook`, `stream` or `polling`.
    pub delivery: String,
    /// The registered agents.
    pub agents: Vec<AgentLine>,
    /// Agents that are not registered, and why.
    pub not_registered: BTreeMap<String, String>,
    /// Roles whose local agents stand down.
    pub stood_down: Vec<String>,
    /// Outgoing messages, by recipient.
    pub outgoing: BTreeMap<String, Outgoing>,
    /// Incoming messages that wait on this machine.
    pub held: Vec<Held>,
    /// Names that cannot be linked, and why.
    pub unlinked: BTreeMap<String, String>,
    /// Messages that can neither be sent nor returned.
    pub unsent: usize,
}

/// One registered agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentLine {
    /// The name on this machine.
    pub local: String,
    /// The registered name.
    pub name: String,
    /// The status that was last reported.
    pub status: String,
    /// Messages that it has not acknowledged.
    pub unacknowledged: usize,
    /// Does its session have our MCP server?
    #[serde(default)]
    pub channel: bool,
}

/// Outgoing messages for one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The number of messages.
    pub waiting: usize,
    /// Why the first one waits, if it was tried.
    pub reason: Option<String>,
}

/// An incoming message that waits on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The message's id.
    pub id: String,
    /// The local agent that it is for.
    pub to: String,
    /// Why it waits.
    pub reason: String,
    /// Its sender's owner, if it waits until the human accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unaccepted_owner: Option<String>,
}

impl RepoStatus {
    /// The current state of a repo.
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
            delivery: match bridge.transport() {
                Transport::Webhook => "webhook",
                Transport::Stream => "stream",
                Transport::Polling => "polling",
            }
            .to_owned(),
            agents: agents.collect(),
            not_registered: bridge.refused(),
            stood_down: bridge.spool.stood_down().into_iter().collect(),
            outgoing: outgoing(bridge),
            held: held(bridge),
            unlinked: bridge.spool.unlinked(),
            unsent: crate::dirs::names(&bridge.spool.dirs.unsent()).map_or(0, |names| names.len()),
        }
    }
}

/// The messages for other machines that wait to be sent.
fn outgoing(bridge: &RepoBridge) -> BTreeMap<String, Outgoing> {
    let reasons = locked(&bridge.outbox.waiting).clone();
    let mut outgoing = BTreeMap::new();
    for recipient in recipients(&bridge.spool.dirs).unwrap_or_default() {
        let waiting = entries(&bridge.spool.dirs, &recipient).map_or(0, |entries| entries.len());
        if waiting > 0 {
            let reason = reasons.get(&recipient).cloned();
            outgoing.insert(recipient, Outgoing { waiting, reason });
        }
    }
    outgoing
}

/// The incoming messages that are not placed, or not handed over.
fn held(bridge: &RepoBridge) -> Vec<Held> {
    let mut held = Vec::new();
    let known = bridge.inbox.held();
    for local in bridge.inbox.store().locals().unwrap_or_default() {
        for id in bridge.inbox.store().ids(&local, Stage::New).unwrap_or_default() {
            // A message without a reason has not been tried yet: it has just arrived, or the
            // bridge has just started.
            let Some(reason) = known.get(&(local.clone(), id.clone())) else { continue };
            let unaccepted_owner = reason.unaccepted_owner().map(str::to_owned);
            held.push(Held { id, to: local.clone(), reason: reason.to_string(), unaccepted_owner });
        }
        let waiting = bridge.inbox.hop_waiting(&local).into_iter();
        held.extend(waiting.map(|(id, reason)| Held {
            id,
            to: local.clone(),
            reason,
            unaccepted_owner: None,
        }));
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_of_an_older_bridge_is_readable() {
        let held = json!({ "id": "msg_1", "to": "fox", "reason": "not accepted from dan" });
        let status: Status =
            serde_json::from_value(json!({ "repos": [{ "held": [&held] }] })).unwrap();
        assert_eq!(status.repos[0].held[0].unaccepted_owner, None);
        assert_eq!(serde_json::to_value(&status.repos[0].held[0]).unwrap(), held);
    }
}
