//! Receives webhooks: signature, time and id are checked before anything else is
//! believed.

use super::{Inbox, Stored};
use crate::lock::locked;
use crate::trouble::Trouble;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use multiclaude_hybrid_client::protocol::AgentId;
use multiclaude_hybrid_client::protocol::webhook::Secret;
use multiclaude_hybrid_client::webhook::{Payload, Webhook};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

/// The largest push: a message of 64 KiB, every byte of it escaped, and the rest.
const BODY_MAX: usize = 512 * 1024;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// How long a request may take to come in.
const REQUEST: Duration = Duration::from_secs(10);
/// Pushes that are remembered, so that a copy of one is refused. Within the 5
/// minutes that a signature is valid no honest agent gets more.
const REMEMBERED: usize = 4096;

/// An agent that pushes can come for.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its local name.
    pub local: String,
    /// Its incarnation.
    pub id: AgentId,
    /// Its registered name.
    pub name: String,
    /// What its pushes are signed under.
    pub secret: Secret,
    /// Where its messages go.
    pub inbox: Arc<Inbox>,
}

/// The agents that pushes can come for, by path.
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
    /// Notes a push; whether it is the first of its kind.
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
    /// Pushes for this agent are accepted from now on.
    pub fn set(&self, path: &str, route: Route) {
        locked(&self.by_path).insert(path.to_owned(), route);
    }

    /// Pushes are no longer accepted there.
    pub fn remove(&self, path: &str) {
        locked(&self.by_path).remove(path);
    }

    fn get(&self, path: &str) -> Option<Route> {
        // A proxy may have put the public URL's own path in front.
        let by_path = locked(&self.by_path);
        path.match_indices("/hook/").find_map(|(at, _)| by_path.get(path.get(at..)?).cloned())
    }
}

/// A server for pushes; it ends when this is dropped.
#[derive(Debug)]
pub struct Listener {
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Listens on `address`.
    ///
    /// # Errors
    /// The address is in use, or not this machine's.
    pub async fn start(address: SocketAddr, routes: Arc<Routes>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let trouble = Trouble::new("no connections are accepted", "connections are accepted again");
        let task = tokio::spawn(async move {
            loop {
                // No connection is accepted that could not be served.
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                let stream = match listener.accept().await {
                    Ok((stream, _)) => {
                        trouble.end("listener");
                        stream
                    }
                    Err(error) => {
                        trouble.begin("listener", error);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let routes = Arc::clone(&routes);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let routes = Arc::clone(&routes);
                        async move { Ok::<_, Infallible>(answer(&routes, request).await) }
                    });
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(REQUEST)
                        .max_buf_size(64 * 1024)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    drop(slot);
                });
            }
        });
        Ok(Self { task })
    }
}

async fn answer(routes: &Routes, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let (status, text) = match push(routes, request).await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err((status, text)) => {
            debug!(path, status = status.as_u16(), reason = text, "a push was refused");
            (status, text)
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

type Refusal = (StatusCode, String);

async fn push(routes: &Routes, request: Request<Incoming>) -> Result<(), Refusal> {
    let refuse = |status, text: &str| Err((status, text.to_owned()));
    let Some(route) = routes.get(request.uri().path()) else {
        return refuse(StatusCode::NOT_FOUND, "no agent of this machine is here");
    };
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "pushes are POSTed");
    }
    let (head, body) = request.into_parts();
    let body = match timeout(REQUEST, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than any push");
        }
        Ok(Err(_)) => return refuse(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let unauthorized =
        |error: &dyn std::fmt::Display| (StatusCode::UNAUTHORIZED, error.to_string());
    let webhook = Webhook::new([route.secret.reveal()]).map_err(|error| unauthorized(&error))?;
    let push = webhook.verify(&head.headers, &body).map_err(|error| unauthorized(&error))?;
    let Payload::Message(message) = push.payload else {
        return Ok(());
    };
    if message.id.to_string() != push.id || message.to.as_str() != route.name {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "the message in it is another one than the signed id says",
        );
    }
    // A retry of the coordinator's has another timestamp; a copy has not.
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
