//! Registers new agents, renames those that go on under another name, and deregisters
//! those that have ended.

use super::RepoBridge;
use crate::clock;
use crate::connection::is_retryable;
use crate::inbox::{Stage, Stored};
use crate::lock::locked;
use crate::multiclaude::{LocalAgent, LocalRepo};
use crate::names::Plan;
use crate::presence;
use crate::registry::{Failure, Record};
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::message::{NewMessage, Sender};
use std::sync::Arc;
use tracing::{info, warn};

impl RepoBridge {
    /// After a lost session the workspace `default` comes back as `workspace`. It is the
    /// same agent, so it keeps its registration and messages.
    pub(super) fn move_renamed(&self, local: Option<&LocalRepo>, plan: &Plan) {
        let Some(local) = local else {
            return;
        };
        for (name, registered) in &plan.names {
            let records = self.registry.records.all();
            let old = records.iter().find(|(old, record)| {
                record.name == *registered && *old != name && !local.agents.contains_key(*old)
            });
            let Some((old, _)) = old.filter(|_| !records.contains_key(name)) else {
                continue;
            };
            locked(&self.receivers).remove(old);
            let moved = self
                .inbox
                .store()
                .rename(old, name)
                .and_then(|()| self.registry.records.rename(old, name));
            match moved {
                Ok(()) => {
                    info!(repo = %self.setup.repo, old, name, "an agent has another local name now");
                }
                Err(error) => {
                    warn!(repo = %self.setup.repo, old, name, %error, "the messages of an agent were not moved");
                }
            }
        }
    }

    /// Registers the agents that are new, and renews the others once.
    pub(super) async fn register(&self, local: Option<&LocalRepo>, plan: &Plan) {
        let mut refused = plan.refused.clone();
        let before = self.registry.refused();
        let read_ms = self.registry.read().at_ms;
        let conflict = self.registry.label_conflict();
        // A refused registration is only tried again with a newer list of agents.
        let refused_before = |name: &String| {
            let tried = locked(&self.tried_ms).get(name) == Some(&read_ms);
            before.get(name).filter(|_| tried)
        };
        for (name, registered) in &plan.names {
            let Some((repo, agent)) = local.and_then(|repo| Some((repo, repo.agents.get(name)?)))
            else {
                continue;
            };
            let known = self.registry.records.get(name);
            if known.as_ref().is_some_and(|known| self.is_done(name, registered, agent, known)) {
                continue;
            }
            if !self.connection.is_online() || self.registry.read().config.is_none() {
                return;
            }
            if let Some(reason) = refused_before(name).or(conflict.as_ref()) {
                refused.insert(name.clone(), reason.clone());
                continue;
            }
            let record = known.unwrap_or_else(|| self.new_record(registered, repo, agent));
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

    /// Is there nothing to register for this agent now?
    fn is_done(
        &self,
        local: &str,
        registered: &AgentName,
        agent: &LocalAgent,
        known: &Record,
    ) -> bool {
        // A later agent of the same name is registered after the end of the first.
        known.name != *registered
            || presence::is_successor(agent, &known.created_at)
            || (known.id.is_some() && locked(&self.renewed).contains(local))
    }

    fn new_record(&self, name: &AgentName, repo: &LocalRepo, agent: &LocalAgent) -> Record {
        let session = locked(&self.shared.panes).session_created(&repo.tmux_target());
        Record {
            name: name.clone(),
            id: None,
            kind: agent.r#type.clone(),
            created_at: agent.created_at.clone(),
            session_secs: session.unwrap_or_default(),
        }
    }

    /// Deregisters agents that have ended. Before that, their messages are sent, and the
    /// messages that they never saw are reported to the senders.
    pub(super) async fn deregister_ended(&self, local: Option<&LocalRepo>, plan: &Plan) {
        for (name, record) in self.registry.records.all() {
            let ended = local.and_then(|repo| self.ended_before(repo, plan, &name, &record));
            let Some(before) = ended else {
                continue;
            };
            if !self.connection.is_online() || self.has_from(&name, before).await {
                continue;
            }
            locked(&self.receivers).remove(&name);
            if let Some(endpoint) = self.registry.endpoint(&record.name) {
                self.shared.routes.remove(&endpoint.path);
            }
            if !self.report_unseen(&name, &record).await {
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

    /// If an agent has ended: the time before which it wrote its messages, in nanoseconds
    /// since the epoch. Later ones are its successor's.
    fn ended_before(
        &self,
        repo: &LocalRepo,
        plan: &Plan,
        name: &str,
        record: &Record,
    ) -> Option<i64> {
        let ended = match plan.names.get(name).zip(repo.agents.get(name)) {
            Some((_, agent)) if presence::is_successor(agent, &record.created_at) => {
                return Some(nanos(&agent.created_at).unwrap_or(i64::MAX));
            }
            Some((planned, _)) if *planned != record.name => true,
            _ if locked(&self.stood_down).contains(name) => true,
            _ => !repo.agents.contains_key(name) && self.is_over(repo, name, record),
        };
        ended.then_some(i64::MAX)
    }

    /// Is there an unsent message that an agent wrote before this time?
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

    /// Reports messages that an agent never saw to their senders; returns whether all were
    /// reported.
    async fn report_unseen(&self, local: &str, record: &Record) -> bool {
        let store = self.inbox.store();
        let ids = |stage| store.ids(local, stage).unwrap_or_default().into_iter();
        let unseen = ids(Stage::New).map(|id| (id, Stage::New));
        for (id, stage) in unseen.chain(ids(Stage::Placed).map(|id| (id, Stage::Placed))) {
            let Ok(stored) = store.get(local, stage, &id) else {
                continue;
            };
            if let Stored::Message { message, .. } = stored
                && let Sender::Agent(from) = &message.from
            {
                let body = format!(
                    "Your message {} was not seen by {}: it has ended.",
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
                    Err(error) if is_retryable(&error) => return false,
                    Err(error) => warn!(local, id, %error, "the sender could not be notified"),
                    Ok(_) => {}
                }
            }
            if let Err(error) = store.advance(local, &id, stage, Stage::Done) {
                warn!(local, id, %error, "a message was not moved");
                return false;
            }
        }
        true
    }
}

fn nanos(time: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(time).ok()?.timestamp_nanos_opt()
}
