//! Finds the sender of a message and its registration.

use super::{Next, Outbox};
use crate::multiclaude::{LocalMessage, State};
use crate::names;
use crate::registry::{Failure, Record};
use multiclaude_hybrid_client::protocol::agent::AgentStatus;
use std::collections::{BTreeMap, BTreeSet};

impl Outbox {
    /// The local name of the agent that wrote a message.
    pub(super) fn sender(&self, message: &LocalMessage, state: Option<&State>) -> String {
        let agents = state.and_then(|state| state.repos.get(&self.spool.nickname));
        let empty = BTreeMap::new();
        let agents = agents.map_or(&empty, |repo| &repo.agents);
        names::sender(&message.from, agents, &self.paths.clone_of(&self.spool.nickname)).to_owned()
    }

    /// The registration of a sender. The next pass registers an agent that multiclaude
    /// still has. One that started and ended while the bridge was away is registered now,
    /// and deregistered when its messages are sent.
    pub(super) async fn sender_record(
        &self,
        local: &str,
        state: Option<&State>,
    ) -> Result<Record, Next> {
        if let Some(record) = self.registry.records.get(local).filter(|record| record.id.is_some())
        {
            return Ok(record);
        }
        let refused = |reason: &str| {
            Next::Return(format!("its sender {local} cannot be registered: {reason}"))
        };
        let repo = state.and_then(|state| state.repos.get(&self.spool.nickname));
        if repo.is_some_and(|repo| repo.agents.contains_key(local)) {
            return Err(match self.registry.refused().get(local) {
                Some(reason) => refused(reason),
                None => Next::Again(format!("its sender {local} is not registered yet"), None),
            });
        }
        if let Some(reason) = self.registry.label_conflict() {
            return Err(Next::Again(reason, None));
        }
        let ended = || repo?.task_history.iter().rev().find(|ended| ended.name == local);
        let kind = "worker";
        let name =
            names::registered_name(local, kind, &self.registry.home().node, &BTreeSet::new());
        let record = Record {
            name: name.map_err(|reason| refused(&reason))?,
            id: None,
            kind: kind.to_owned(),
            created_at: ended().map(|ended| ended.created_at.clone()).unwrap_or_default(),
            session_secs: 0,
        };
        match self.registry.register(local, record, AgentStatus::Stopped).await {
            Ok(record) => Ok(record),
            Err(Failure::Away) => Err(Next::Again("the coordinator is away".to_owned(), None)),
            Err(Failure::Refused(reason)) => Err(refused(&reason)),
        }
    }
}
