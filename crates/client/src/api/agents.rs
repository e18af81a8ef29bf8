//! Registered agents.

use crate::{Call, Error, Repeat, RepoClient};
use multiclaude_hybrid_protocol::agent::{
    Agent, AgentStatus, AgentUpdate, EndpointChange, EndpointTest, Location, Registration,
};
use multiclaude_hybrid_protocol::heartbeat::{Heartbeat, HeartbeatResult};
use multiclaude_hybrid_protocol::{AgentId, AgentName, Owner};
use reqwest::Method;
use serde::Deserialize;

/// Which agents are listed; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Only agents of this type.
    pub r#type: Option<String>,
    /// Only agents at this location.
    pub location: Option<Location>,
    /// Only agents with this status.
    pub status: Option<AgentStatus>,
    /// Only agents of this owner.
    pub owner: Option<Owner>,
}

/// Adds the header that binds a call to an incarnation.
pub(crate) fn incarnation(call: Call, agent: Option<&AgentId>) -> Call {
    match agent {
        Some(id) => call.header("agent-id", id.as_str()),
        None => call,
    }
}

impl RepoClient {
    /// `POST …/agents`: registers an agent, or renews its registration. It is repeated
    /// only if no secret can be lost with an answer.
    pub async fn register(&self, agent: &Registration) -> Result<Agent, Error> {
        let generates = matches!(agent.endpoint, EndpointChange::Set(_));
        let repeat = if agent.take_over || (generates && agent.webhook_secret.is_none()) {
            Repeat::IfNotDone
        } else {
            Repeat::Always
        };
        let call = Call::new(Method::POST, "/agents").json(agent).repeat(repeat);
        self.call(call).await?.json()
    }

    /// `GET …/agents`: all that match, page by page.
    pub async fn agents(&self, filter: &AgentFilter) -> Result<Vec<Agent>, Error> {
        let filter = [
            ("type", filter.r#type.clone()),
            ("location", filter.location.map(|location| location.as_str().to_owned())),
            ("status", filter.status.map(|status| status.as_str().to_owned())),
            ("owner", filter.owner.as_ref().map(ToString::to_string)),
        ];
        self.client.list(&format!("{}/agents", self.path), &filter, usize::MAX).await
    }

    /// `GET …/agents/{name}`, with the number of its pending messages.
    pub async fn agent(&self, name: &AgentName) -> Result<Agent, Error> {
        self.get(format!("/agents/{name}")).await
    }

    /// `PATCH …/agents/{name}`, for the incarnation `id` if one is given.
    pub async fn update(
        &self,
        name: &AgentName,
        id: Option<&AgentId>,
        change: &AgentUpdate,
    ) -> Result<Agent, Error> {
        let generates = matches!(change.endpoint, EndpointChange::Set(_));
        let call = Call::new(Method::PATCH, format!("/agents/{name}")).json(change);
        let call = match change.webhook_secret {
            None if generates => call.repeat(Repeat::IfNotDone),
            _ => call,
        };
        self.call(incarnation(call, id)).await?.json()
    }

    /// `DELETE …/agents/{name}`, for the incarnation `id` if one is given.
    pub async fn deregister(&self, name: &AgentName, id: Option<&AgentId>) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, format!("/agents/{name}"));
        self.call(incarnation(call, id)).await.map(|_| ())
    }

    /// `POST …/heartbeats`: heartbeats of up to 100 agents in one call.
    pub async fn heartbeats(&self, beats: &[Heartbeat]) -> Result<Vec<HeartbeatResult>, Error> {
        let call = Call::new(Method::POST, "/heartbeats").json(beats).repeat(Repeat::Always);
        self.call(call).await?.json()
    }

    /// `POST …/agents/{name}/endpoint/secret`: makes a new secret, `whsec_…`, which is in
    /// this answer only.
    pub async fn rotate_secret(&self, name: &AgentName) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Answer {
            webhook_secret: String,
        }
        let path = format!("/agents/{name}/endpoint/secret");
        let answer: Answer = self.call(Call::new(Method::POST, path)).await?.json()?;
        Ok(answer.webhook_secret)
    }

    /// `POST …/agents/{name}/endpoint/test`: pushes an `endpoint.test`.
    pub async fn test_endpoint(&self, name: &AgentName) -> Result<EndpointTest, Error> {
        let path = format!("/agents/{name}/endpoint/test");
        self.call(Call::new(Method::POST, path)).await?.json()
    }
}
