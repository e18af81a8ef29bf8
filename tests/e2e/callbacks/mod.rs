//! Callbacks about requests for workers that were pushed.

mod forgery;
mod repeats;

use crate::agent;
use e2e::RepoClient;
use e2e::{Answer, Coordinator, Received, Sink, World, eventually, shared};
use multiclaude_hybrid_protocol::SpawnId;
use multiclaude_hybrid_protocol::spawn::{Claim, SpawnRequest};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Configures the repo to push there; answers the secret.
pub(crate) async fn push_to(world: &World, url: &str) -> String {
    let config = json!({"enabled": true, "spawn_endpoint": url, "max_spawns_per_minute": 1000});
    let config = world.ci.configure(&config).await.unwrap();
    config["webhook_secret"].as_str().unwrap().to_owned()
}

/// A world that pushes to a sink with these answers, and its secret.
pub(crate) async fn serving(
    coordinator: &Coordinator,
    script: Vec<Answer>,
) -> (World, Sink, String) {
    let (world, sink) = (coordinator.world().await, Sink::start(script).await);
    let secret = push_to(&world, &sink.url).await;
    (world, sink, secret)
}

pub(crate) async fn spawn(client: &RepoClient, body: Value) -> SpawnRequest {
    crate::workers::spawn(client, &body).await.unwrap()
}

async fn get(world: &World, id: &str) -> SpawnRequest {
    world.dan.worker(&SpawnId::parse(id).unwrap()).await.unwrap()
}

/// A callback as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Call {
    url: String,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Call {
    /// Signed with the published library.
    pub(crate) fn signed(
        world: &World,
        request: &str,
        secret: &str,
        webhook_id: &str,
        body: &Value,
    ) -> Self {
        Self::at(world, request, secret, webhook_id, body.to_string(), now())
    }

    fn at(world: &World, request: &str, secret: &str, id: &str, body: String, at: i64) -> Self {
        let webhook = Webhook::new(secret).unwrap();
        Self {
            url: format!("{}/repos/{}/workers/{request}/callback", world.url, world.repo),
            signature: webhook.sign(id, at, body.as_bytes()).unwrap(),
            id: id.to_owned(),
            timestamp: at.to_string(),
            body,
        }
    }

    /// The status and the body.
    pub(crate) async fn send(&self) -> (u16, Value) {
        let request = crate::http()
            .post(&self.url)
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", &self.timestamp)
            .header("webhook-signature", &self.signature)
            .body(self.body.clone());
        let (status, _, body) = crate::raw(request).await;
        (status, body)
    }

    pub(crate) async fn refused(&self, what: &str, status: u16, code: &str) {
        let (found, body) = self.send().await;
        assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{what}: {body}");
    }
}

pub(crate) fn event(kind: &str, id: &str, rest: Value) -> Value {
    let mut data = rest;
    data["id"] = json!(id);
    json!({"type": kind, "timestamp": "2026-11-22T00:00:00Z", "data": data})
}

pub(crate) fn ids(sink: &Sink) -> Vec<String> {
    sink.received().iter().map(Received::id).collect()
}

#[tokio::test]
async fn an_endpoint_takes_renews_and_ends_a_request_and_its_sender_gets_a_notice() {
    let (world, _, secret) = serving(shared().await, vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    let request = spawn(&world.dan, json!({"task": "go", "spawned_by": "ws"})).await;
    let id = request.id.to_string();
    let call = |webhook_id: &str, kind: &str, rest: Value| {
        Call::signed(&world, &id, &secret, webhook_id, &event(kind, &id, rest))
    };
    for (webhook_id, kind) in [("c0", "worker.progress"), ("c00", "worker.completed")] {
        let early = call(webhook_id, kind, json!({}));
        early.refused(kind, 409, "lease_lost").await;
    }
    let (status, started) = call("c1", "worker.started", json!({"worker_name": "w1"})).send().await;
    assert_eq!(
        (status, &started["status"], &started["worker_name"]),
        (200, &json!("in_progress"), &json!("w1"))
    );
    let none = world.ci.claim(&Claim::default(), None).await.unwrap();
    assert_eq!(none, None, "a runner got what the endpoint had taken");
    // The same worker may say so again; of two, one has won.
    let again = call("c1b", "worker.started", json!({"worker_name": "w1"}));
    assert_eq!(again.send().await.0, 200);
    for (webhook_id, kind) in [
        ("x1", "worker.started"),
        ("x2", "worker.progress"),
        ("x3", "worker.completed"),
        ("x4", "worker.failed"),
    ] {
        let other = call(webhook_id, kind, json!({"worker_name": "w2"}));
        other.refused(kind, 409, "lease_lost").await;
    }
    let renewed = call("c2", "worker.progress", json!({"lease_seconds": 60})).send().await.1;
    assert!(renewed["lease_expires_at"].as_str() < started["lease_expires_at"].as_str());
    world.dan.cancel_worker(&request.id).await.unwrap();
    let (_, asked) = call("c3", "worker.progress", json!({})).send().await;
    assert_eq!(asked["cancel_requested"], true);
    let (status, done) = call("c4", "worker.completed", json!({"summary": "merged"})).send().await;
    assert_eq!(
        (status, &done["status"], &done["summary"]),
        (200, &json!("completed"), &json!("merged"))
    );
    call("c5", "worker.failed", json!({})).refused("after the end", 409, "lease_lost").await;
    let notice = eventually("the notice", || async {
        let mail = world.dan.messages("ws", "status=pending").await.unwrap();
        mail.into_iter().find(|mail| mail.body.contains("merged"))
    })
    .await;
    assert_eq!(notice.from.to_string(), "system");
}
