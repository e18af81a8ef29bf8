//! Who holds a name in a repo.
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
/// `registration.endpoint` has been checked against the endpoint rules. Where a living
/// row is to be replaced, its mailbox must be asked, too, whether its holder is there.
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
    let status = presence::reported(agent.status, agent.delivery, agent.last_seen.0, now, timing);
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

fn create(last_generation: u32, by: &Registrant<'_>, wish: &Registration, now: Ms) -> Row {
    let endpoint = endpoint_after(&wish.endpoint, "");
    Row {
        agent: Agent {
            id: by.fresh_id.clone(),
            name: wish.name.clone(),
            r#type: wish.r#type.clone(),
            location: wish.location.unwrap_or(default_location(by.kind)),
            owner: by.owner.clone(),
            repo: by.repo.clone(),
            status: wish.status.unwrap_or(AgentStatus::Active),
            delivery: delivery_of(&endpoint),
            endpoint,
            delivery_reason: None,
            instance: wish.instance.clone(),
            last_seen: Timestamp(now),
            created_at: Timestamp(now),
            metadata: wish.metadata.clone().unwrap_or_default(),
            waiting: None,
            webhook_secret: None,
        },
        version: Version { generation: last_generation + 1, revision: 1 },
        deleted_at: None,
    }
}

fn renew(row: &Row, by: &Registrant<'_>, wish: &Registration, now: Ms) -> Row {
    let update = AgentUpdate {
        // An agent that registers again is no longer stopped.
        status: wish
            .status
            .or_else(|| (row.agent.status == AgentStatus::Stopped).then_some(AgentStatus::Active)),
        r#type: Some(wish.r#type.clone()),
        location: wish.location,
        endpoint: wish.endpoint.clone(),
        webhook_secret: wish.webhook_secret.clone(),
        metadata: wish.metadata.clone(),
    };
    debug_assert_eq!(row.agent.owner, *by.owner);
    self::update(row, &update, now)
}

/// The row after a PATCH, seen now.
pub fn update(row: &Row, wish: &AgentUpdate, now: Ms) -> Row {
    let mut next = row.clone();
    let agent = &mut next.agent;
    agent.last_seen = Timestamp(agent.last_seen.0.max(now));
    if let Some(status) = wish.status {
        agent.status = status;
    }
    if let Some(label) = &wish.r#type {
        agent.r#type.clone_from(label);
    }
    if let Some(location) = wish.location {
        agent.location = location;
    }
    if let Some(metadata) = &wish.metadata {
        agent.metadata.clone_from(metadata);
    }
    agent.endpoint = endpoint_after(&wish.endpoint, &row.agent.endpoint);
    let moved = agent.endpoint != row.agent.endpoint;
    if moved {
        agent.delivery = delivery_of(&agent.endpoint);
        agent.delivery_reason = None;
    }
    if moved || wish.webhook_secret.is_some() {
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
