//! Receives messages, and reports what agents have taken and acknowledged.

use super::RepoBridge;
use crate::connection::is_retryable;
use crate::inbox::{Receiver, Receiving, Reportable, Route, Stage};
use crate::lock::locked;
use crate::registry::Record;
use multiclaude_hybrid_client::protocol::agent::Delivery;
use multiclaude_hybrid_client::protocol::message::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tracing::{info, warn};

impl RepoBridge {
    /// With a public URL, tests pushes again while they do not work.
    pub(super) async fn check_pushes(&self) {
        let records = self.registry.records.all();
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
                info!(repo = %self.setup.repo, "messages are received by webhook");
            } else {
                let reason = match test {
                    Ok(test) => test.error.unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                warn!(repo = %self.setup.repo, reason, "webhooks do not arrive; messages are received by stream");
            }
        }
    }

    /// Receives for every registered agent, by the transport that works.
    pub(super) async fn receive(&self) {
        let records = self.registry.records.all();
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

    /// Closes all streams and polls; the next pass opens them again.
    pub fn reconnect(&self) {
        locked(&self.receivers).clear();
    }

    /// Reports messages that agents have acknowledged since the last call. Returns the
    /// shortest wait before it is tried again, if that is necessary.
    pub async fn report_acks(&self) -> Option<Duration> {
        let mut again = None;
        for local in self.inbox.store().locals().unwrap_or_default() {
            // Also while offline: messages that were read need not be handed over.
            for acked in self.inbox.acked(&local).unwrap_or_default() {
                if let Err(asked) = self.report(&acked, Report::ACKED, Stage::Done).await {
                    again = again.max(Some(asked));
                    break;
                }
            }
        }
        again.filter(|_| self.connection.is_online())
    }

    /// Reports messages that agents have taken since the last call. Returns the shortest
    /// wait before it is tried again, if that is necessary.
    pub async fn report_seen(&self) -> Option<Duration> {
        for local in self.inbox.store().locals().unwrap_or_default() {
            for taken in self.inbox.taken(&local).unwrap_or_default() {
                if let Err(asked) = self.report(&taken, Report::SEEN, Stage::Seen).await {
                    return Some(asked).filter(|_| self.connection.is_online());
                }
            }
        }
        None
    }

    /// Reports how far a message has come. The error means that the coordinator does not
    /// accept reports now, and how long it asks to wait.
    async fn report(&self, of: &Reportable, how_far: Report, to: Stage) -> Result<(), Duration> {
        if !self.connection.is_online() {
            return Err(Duration::ZERO);
        }
        let (local, id) = (&of.local, of.message.id.to_string());
        let report = self.connection.repo.report(&of.message.id, how_far, of.agent.as_ref());
        match self.connection.note(report.await) {
            Err(error) if is_retryable(&error) => {
                return Err(error.retry_after().unwrap_or_default());
            }
            Err(error) => warn!(local, id, %error, "the report was refused"),
            Ok(_) => info!(local, id, stage = ?to, "reported"),
        }
        if let Err(error) = self.inbox.reported(of, to) {
            warn!(local, id, %error, "a message was not moved");
        }
        Ok(())
    }
}
