//! Receives webhooks. Signature, time and id are verified before anything else is used.

use super::{Inbox, Stored};
use crate::http::{Answer, HeaderMap, Receiver, Refusal, StatusCode};
use crate::lock::locked;
use hyper::body::Bytes;
use multiclaude_hybrid_client::protocol::AgentId;
use multiclaude_hybrid_client::protocol::webhook::Secret;
use multiclaude_hybrid_client::webhook::{Payload, Webhook};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// The number of pushes that are remembered, so that a copy is refused. No honest agent
/// gets more in the 5 minutes that a signature is valid.
const REMEMBERED: usize = 4096;

/// An agent that can get pushes.
#[derive(Debug, Clone)]
pub struct Route {
    /// The agent's local name.
    pub local: String,
    /// The agent's incarnation.
    pub id: AgentId,
    /// The agent's registered name.
    pub name: String,
    /// The secret that its pushes are signed under.
    pub secret: Secret,
    /// The inbox for its messages.
    pub inbox: Arc<Inbox>,
}

/// The agents that can get pushes, by path.
#[derive(Debug, Default)]
pub struct Routes {
    by_path: Mutex<BTreeMap<String, Route>>,
    /// Pushes that were accepted: id and timestamp of each, the latest last.
    accepted: Mutex<Accepted>,
}

#[derive(Debug, Default)]
struct Accepted {
    known: BTreeSet<(String, i64)>,
    order: std::collections::VecDeque<(String, i64)>,
}

impl Accepted {
    /// Notes a push; returns whether it is new.
    fn insert(&mut self, push: (String, i64)) -> bool {
        if !self.known.insert(push.clone()) {
            return false;
        }
        self.order.push_back(push);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, push: &(String, i64)) {
        self.known.remove(push);
        self.order.retain(|known| known != push);
    }
}

impl Routes {
    /// Accepts pushes for this agent from now on.
    pub fn set(&self, path: &str, route: Route) {
        locked(&self.by_path).insert(path.to_owned(), route);
    }

    /// Accepts no more pushes at this path.
    pub fn remove(&self, path: &str) {
        locked(&self.by_path).remove(path);
    }

    fn get(&self, path: &str) -> Option<Route> {
        // A proxy may have prefixed the path of the public URL.
        let by_path = locked(&self.by_path);
        path.match_indices("/hook/").find_map(|(at, _)| by_path.get(path.get(at..)?).cloned())
    }
}

impl Receiver for Routes {
    fn expects(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    fn push(&self, path: String, headers: HeaderMap, body: Bytes) -> Answer<'_> {
        Box::pin(async move {
            let route = self.get(&path);
            let gone =
                || (StatusCode::NOT_FOUND, "this machine serves no agent at this path".to_owned());
            accept(self, route.ok_or_else(gone)?, &headers, &body).await
        })
    }
}

async fn accept(
    routes: &Routes,
    route: Route,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Refusal> {
    let refuse = |status, text: &str| Err((status, text.to_owned()));
    let unauthorized =
        |error: &dyn std::fmt::Display| (StatusCode::UNAUTHORIZED, error.to_string());
    let webhook = Webhook::new([route.secret.reveal()]).map_err(|error| unauthorized(&error))?;
    let push = webhook.verify(headers, body).map_err(|error| unauthorized(&error))?;
    let Payload::Message(message) = push.payload else {
        return Ok(());
    };
    if message.id.to_string() != push.id || message.to.as_str() != route.name {
        return refuse(StatusCode::UNAUTHORIZED, "the message does not match the signed id");
    }
    // A retry of the coordinator's has another timestamp, a copy has the same.
    let seen = (push.id, push.timestamp_secs);
    if !locked(&routes.accepted).insert(seen.clone()) {
        return refuse(StatusCode::CONFLICT, "this push was accepted before");
    }
    let stored = Stored::Message { message, agent: Some(route.id.clone()) };
    let accepted =
        tokio::task::spawn_blocking(move || route.inbox.accept(&route.local, &stored)).await;
    if !matches!(accepted, Ok(Ok(()))) {
        locked(&routes.accepted).remove(&seen);
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the message could not be stored");
    }
    Ok(())
}
