//! Decides who holds a name in a repo.
//!
//! A row carries a `generation`, raised by every new incarnation and kept in
//! the tombstone of a deregistered one, and a `revision`, raised by every
//! change of endpoint or secret. Every configuration of the mailbox carries
//! both, so that a late one is recognised.

use crate::{Ms, presence, timing::Timing};
use multiclaude_hybrid_protocol::agent::{
    Agent, AgentStatus, AgentUpdate, Delivery, EndpointChange, Location, Registration,
};
use multiclaude_hybrid_protocol::token::TokenKind;
use multiclaude_hybrid_protocol::{AgentId, Owner, Repo, Timestamp};
use serde::{Deserialize, Serialize};

/// The pair that orders the configurations of one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Raised by every new incarnation of the name.
    pub generation: u32,
    /// Raised by every change of endpoint or secret.
    pub revision: u32,
}

/// A row of the registry.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// The fields that are shown.
    pub agent: Agent,
    /// Orders the configurations of its mailbox.
    pub version: Version,
    /// Set in a tombstone.
    pub deleted_at: Option<Ms>,
}

/// The caller of a registration, and the repo.
#[derive(Debug, Clone)]
pub struct Registrant<'a> {
    /// The caller's owner: the agent's owner from now on.
    pub owner: &'a Owner,
    /// The caller's kind.
    pub kind: TokenKind,
    /// The repo of the path.
    pub repo: &'a Repo,
    /// An id for a new incarnation, if one is made.
    pub fresh_id: AgentId,
}

/// The outcome of a registration.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// A new incarnation: 201.
    Create(Row),
    /// The same incarnation, some fields renewed: 200.
    Renew(Row),
    /// 409: this row holds the name.
    Taken,
}

/// Decides a registration against the row that is there.
///
/// `registration.endpoint` was checked against the endpoint rules. Before a row without
/// `deleted_at` is replaced, its mailbox must be asked whether the holder is present.
pub fn register(
    found: Option<&Row>,
    by: &Registrant<'_>,
    registration: &Registration,
    now: Ms,
    timing: &Timing,
) -> Decision {
    let Some(row) = found else {
        return Decision::Create(create(0, by, registration, now));
    };
    let next = row.version.generation;
    if row.deleted_at.is_some() {
        return Decision::Create(create(next, by, registration, now));
    }
    let agent = &row.agent;
    if agent.owner == *by.owner && agent.instance == registration.instance {
        return Decision::Renew(renew(row, by, registration, now));
    }
    let status = presence::reported(agent, now, timing);
    if registration.take_over && status == AgentStatus::Stopped {
        return Decision::Create(create(next, by, registration, now));
    }
    Decision::Taken
}

fn default_location(kind: TokenKind) -> Location {
    match kind {
        TokenKind::Service => Location::Remote,
        TokenKind::User | TokenKind::Admin => Location::Local,
    }
}

fn endpoint_after(change: &EndpointChange, before: &str) -> String {
    match change {
        EndpointChange::Keep => before.to_owned(),
        EndpointChange::Clear => String::new(),
        EndpointChange::Set(url) => url.clone(),
    }
}

/// The delivery that the registry shows for an agent with this endpoint, until its
/// mailbox reports another one.
pub(crate) fn delivery_of(endpoint: &str) -> Delivery {
    if endpoint.is_empty() { Delivery::Polling } else { Delivery::Webhook }
}

fn create(last_generation: u32, by: &Registrant<'_>, registration: &Registration, now: Ms) -> Row {
    let endpoint = endpoint_after(&registration.endpoint, "");
    Row {
        agent: Agent {
            id: by.fresh_id.clone(),
            name: registration.name.clone(),
            r#type: registration.r#type.clone(),
            location: registration.location.unwrap_or(default_location(by.kind)),
            owner: by.owner.clone(),
            repo: by.repo.clone(),
            status: registration.status.unwrap_or(AgentStatus::Active),
            delivery: delivery_of(&endpoint),
            endpoint,
            delivery_reason: None,
            instance: registration.instance.clone(),
            last_seen: Timestamp(now),
            created_at: Timestamp(now),
            metadata: registration.metadata.clone().unwrap_or_default(),
            waiting: None,
            webhook_secret: None,
        },
        version: Version { generation: last_generation + 1, revision: 1 },
        deleted_at: None,
    }
}

fn renew(row: &Row, by: &Registrant<'_>, registration: &Registration, now: Ms) -> Row {
    let update = AgentUpdate {
        // An agent that registers again is no longer stopped.
        status: registration
            .status
            .or_else(|| (row.agent.status == AgentStatus::Stopped).then_some(AgentStatus::Active)),
        r#type: Some(registration.r#type.clone()),
        location: registration.location,
        endpoint: registration.endpoint.clone(),
        webhook_secret: registration.webhook_secret.clone(),
        metadata: registration.metadata.clone(),
    };
    debug_assert_eq!(row.agent.owner, *by.owner);
    self::update(row, &update, now)
}

/// The row after a PATCH, seen now.
pub fn update(row: &Row, update: &AgentUpdate, now: Ms) -> Row {
    let mut next = row.clone();
    let agent = &mut next.agent;
    agent.last_seen = Timestamp(agent.last_seen.0.max(now));
    if let Some(status) = update.status {
        agent.status = status;
    }
    if let Some(label) = &update.r#type {
        agent.r#type.clone_from(label);
    }
    if let Some(location) = update.location {
        agent.location = location;
    }
    if let Some(metadata) = &update.metadata {
        agent.metadata.clone_from(metadata);
    }
    agent.endpoint = endpoint_after(&update.endpoint, &row.agent.endpoint);
    let moved = agent.endpoint != row.agent.endpoint;
    if moved {
        agent.delivery = delivery_of(&agent.endpoint);
        agent.delivery_reason = None;
    }
    if moved || update.webhook_secret.is_some() {
        next.version.revision += 1;
    }
    next
}

/// Does `next` differ from `row` in more than `last_seen`?
pub fn differs(row: &Row, next: &Row) -> bool {
    let mut same_moment = next.clone();
    same_moment.agent.last_seen = row.agent.last_seen;
    same_moment != *row
}

/// The tombstone of a deregistered row.
pub fn tombstone(row: &Row, now: Ms) -> Row {
    let mut next = row.clone();
    next.version.revision += 1;
    next.deleted_at = Some(now);
    next.agent.endpoint.clear();
    next
}

#[cfg(test)]
mod tests;
