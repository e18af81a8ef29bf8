//! What comes back about requests for workers that were pushed.

use crate::agent;
use e2e::{Coordinator, Options, Received, Sink, World, eventually, shared};
use multiclaude_hybrid_client::RepoClient;
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

/// Configures the repo to push there; answers the secret.
pub(crate) async fn push_to(world: &World, url: &str) -> String {
    let config = json!({"enabled": true, "spawn_endpoint": url, "max_spawns_per_minute": 1000});
    let reply = world
        .ci
        .call(Method::PUT, "/config", &[], Some(&config))
        .await;
    let config: Value = reply.unwrap().json().unwrap();
    config["webhook_secret"].as_str().unwrap().to_owned()
}

pub(crate) async fn spawn(client: &RepoClient, body: Value) -> SpawnRequest {
    let reply = client
        .call(Method::POST, "/workers/spawn", &[], Some(&body))
        .await;
    reply.unwrap().json().unwrap()
}

async fn get(world: &World, id: &str) -> SpawnRequest {
    let path = format!("/workers/{id}");
    let reply = world.dan.call(Method::GET, &path, &[], None).await;
    reply.unwrap().json().unwrap()
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
            url: format!(
                "{}/repos/{}/workers/{request}/callback",
                world.url, world.repo
            ),
            signature: webhook.sign(id, at, body.as_bytes()).unwrap(),
            id: id.to_owned(),
            timestamp: at.to_string(),
            body,
        }
    }

    /// The status and the body.
    pub(crate) async fn send(&self) -> (u16, Value) {
        let request = reqwest::Client::new()
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
        assert_eq!(
            (found, body["code"].as_str()),
            (status, Some(code)),
            "{what}: {body}"
        );
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
async fn an_endpoint_takes_renews_and_ends_a_request_and_whoever_asked_is_told() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = push_to(&world, &sink.url).await;
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
    let (status, started) = call("c1", "worker.started", json!({"worker_name": "w1"}))
        .send()
        .await;
    assert_eq!(
        (status, &started["status"], &started["worker_name"]),
        (200, &json!("in_progress"), &json!("w1"))
    );
    let none = world
        .ci
        .call(Method::POST, "/workers/claim", &[], None)
        .await
        .unwrap();
    assert_eq!(none.status, 204, "a runner got what the endpoint had taken");
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
    let renewed = call("c2", "worker.progress", json!({"lease_seconds": 60}))
        .send()
        .await
        .1;
    assert!(renewed["lease_expires_at"].as_str() < started["lease_expires_at"].as_str());
    let path = format!("/workers/{id}");
    world
        .dan
        .call(Method::DELETE, &path, &[], None)
        .await
        .unwrap();
    let (_, asked) = call("c3", "worker.progress", json!({})).send().await;
    assert_eq!(asked["cancel_requested"], true);
    let (status, done) = call("c4", "worker.completed", json!({"summary": "merged"}))
        .send()
        .await;
    assert_eq!(
        (status, &done["status"], &done["summary"]),
        (200, &json!("completed"), &json!("merged"))
    );
    call("c5", "worker.failed", json!({}))
        .refused("after the end", 409, "lease_lost")
        .await;
    let notice = eventually("the notice", 20, || async {
        let mail = world.dan.messages("ws", "status=pending").await.unwrap();
        mail.into_iter().find(|mail| mail.body.contains("merged"))
    })
    .await;
    assert_eq!(notice.from.to_string(), "system");
}

#[tokio::test]
async fn what_a_runner_holds_a_callback_cannot_touch() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = push_to(&world, &sink.url).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let id = request.id.to_string();
    let claimed: SpawnRequest = world
        .ci
        .call(Method::POST, "/workers/claim", &[], None)
        .await
        .unwrap()
        .json()
        .unwrap();
    for (webhook_id, kind) in [
        ("a", "worker.started"),
        ("b", "worker.progress"),
        ("c", "worker.completed"),
        ("d", "worker.failed"),
    ] {
        let body = event(kind, &id, json!({"worker_name": "thief"}));
        Call::signed(&world, &id, &secret, webhook_id, &body)
            .refused(kind, 409, "lease_lost")
            .await;
    }
    let after = get(&world, &id).await;
    assert_eq!(
        (after.status, after.worker_name),
        (SpawnStatus::InProgress, None)
    );
    assert_eq!(
        after.lease_expires_at,
        Some(claimed.lease.unwrap().expires_at)
    );
}

#[tokio::test]
async fn a_callback_that_is_not_what_it_seems_is_refused_and_changes_nothing() {
    let world = shared().await.world().await;
    let other = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = push_to(&world, &sink.url).await;
    let foreign = push_to(&other, &sink.url).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let another = spawn(&world.dan, json!({"task": "another"})).await;
    let (id, another) = (request.id.to_string(), another.id.to_string());
    let body = event("worker.failed", &id, json!({}));
    let good = Call::signed(&world, &id, &secret, "good", &body);

    let unsigned = Call {
        signature: String::new(),
        ..good.clone()
    };
    unsigned.refused("unsigned", 401, "invalid_signature").await;
    let garbled = Call {
        signature: "v1,AAAA v2,x".into(),
        ..good.clone()
    };
    garbled
        .refused("wrongly signed", 401, "invalid_signature")
        .await;
    let renamed = Call {
        id: "better".into(),
        ..good.clone()
    };
    renamed
        .refused("another webhook-id", 401, "invalid_signature")
        .await;
    let dotted = Call::signed(&world, &id, &secret, "a.b", &body);
    dotted
        .refused("a webhook-id with a dot", 401, "invalid_signature")
        .await;
    let changed = Call {
        body: good.body.replace("failed", "completed"),
        ..good.clone()
    };
    changed
        .refused("another body", 401, "invalid_signature")
        .await;
    for (what, at) in [("late", now() - 330), ("early", now() + 330)] {
        let call = Call::at(&world, &id, &secret, "x", body.to_string(), at);
        call.refused(what, 401, "invalid_signature").await;
    }
    let by_other = Call::signed(&world, &id, &foreign, "x", &body);
    by_other
        .refused("another repo's secret", 401, "invalid_signature")
        .await;
    let agents = world
        .ann
        .register(&json!({"name": "q", "type": "worker", "endpoint": sink.url}))
        .await;
    let of_agent = agents.unwrap().webhook_secret.unwrap();
    let by_agent = Call::signed(&world, &id, &of_agent, "x", &body);
    by_agent
        .refused("an agent's secret", 401, "invalid_signature")
        .await;
    let elsewhere = Call::signed(&world, &another, &secret, "x", &body);
    elsewhere
        .refused("another request's path", 422, "validation_failed")
        .await;
    let not_there = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";
    let unknown = Call::signed(
        &world,
        not_there,
        &secret,
        "x",
        &event("worker.failed", not_there, json!({})),
    );
    unknown
        .refused("an unknown request", 404, "worker_not_found")
        .await;
    let push = &sink.wait_for(1, 20).await[0];
    let echoed = Call {
        url: good.url.clone(),
        id: push.id(),
        timestamp: push.header("webhook-timestamp"),
        signature: push.header("webhook-signature"),
        body: push.body.clone(),
    };
    assert_eq!(echoed.id, id);
    echoed
        .refused("a push sent back", 422, "validation_failed")
        .await;
    assert_eq!(get(&world, &id).await.status, SpawnStatus::Pending);
    assert_eq!(get(&world, &another).await.status, SpawnStatus::Pending);

    assert_eq!(good.send().await.0, 200);
    good.refused("a replay", 409, "callback_replayed").await;
    let again = Call::signed(
        &world,
        &another,
        &secret,
        "good",
        &event("worker.failed", &another, json!({})),
    );
    again
        .refused(
            "its webhook-id for another request",
            409,
            "callback_replayed",
        )
        .await;
    assert_eq!(get(&world, &another).await.status, SpawnStatus::Pending);
}

#[tokio::test]
async fn of_twenty_equal_callbacks_at_once_one_is_taken() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = push_to(&world, &sink.url).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let id = request.id.to_string();
    let body = event("worker.started", &id, json!({"worker_name": "w"}));
    let call = Call::signed(&world, &id, &secret, "same", &body);
    let calls = (0..20).map(|_| {
        let call = call.clone();
        tokio::spawn(async move { call.send().await.0 })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap());
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        19,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_leaked_secret_is_out_of_force_once_the_endpoint_was_cleared() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let leaked = push_to(&world, &sink.url).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let id = request.id.to_string();
    let body = event("worker.failed", &id, json!({}));
    let put = async |config: Value| {
        let reply = world
            .ci
            .call(Method::PUT, "/config", &[], Some(&config))
            .await;
        reply.unwrap()
    };
    put(json!({"spawn_endpoint": ""})).await;
    let call = Call::signed(&world, &id, &leaked, "cleared", &body);
    call.refused("without an endpoint", 401, "invalid_signature")
        .await;
    let fresh = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    put(json!({"spawn_endpoint": "", "webhook_secret": fresh})).await;
    put(json!({"spawn_endpoint": sink.url})).await;
    let call = Call::signed(&world, &id, &leaked, "leaked", &body);
    call.refused("by the leaked secret", 401, "invalid_signature")
        .await;
    assert_eq!(
        Call::signed(&world, &id, fresh, "fresh", &body)
            .send()
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn for_24_hours_a_replaced_secret_signs_pushes_and_callbacks_too() {
    // 24 h are 4.3 s.
    let coordinator = Coordinator::start(Options {
        scale: 20_000,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    let old = push_to(&world, &sink.url).await;
    spawn(&world.dan, json!({"task": "before"})).await;
    sink.wait_for(1, 20).await;
    let new = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    let config = json!({"spawn_endpoint": sink.url, "webhook_secret": new, "max_spawns_per_minute": 1000, "max_workers": 1000});
    world
        .ci
        .call(Method::PUT, "/config", &[], Some(&config))
        .await
        .unwrap();
    let request = spawn(&world.dan, json!({"task": "after"})).await;
    let pushes = sink.wait_for(2, 20).await;
    assert!(pushes[1].verify(&old) && pushes[1].verify(new));
    let id = request.id.to_string();
    let body = event("worker.started", &id, json!({"worker_name": "w"}));
    assert_eq!(
        Call::signed(&world, &id, &old, "by-old", &body)
            .send()
            .await
            .0,
        200
    );
    eventually("the old secret to end", 30, || async {
        let call = Call::signed(&world, &id, &old, &format!("at-{}", now()), &body);
        (call.send().await.0 == 401).then_some(())
    })
    .await;
    // The mailbox that pushes heard of the new secret a moment after the config.
    eventually("a push under the new secret alone", 30, || async {
        let request = spawn(&world.dan, json!({"task": "later"})).await;
        let push = eventually("its push", 20, || async {
            let pushes = sink.received().into_iter();
            let id = request.id.to_string();
            pushes.rev().find(|push| push.id() == id)
        })
        .await;
        assert!(push.verify(new));
        (!push.verify(&old)).then_some(())
    })
    .await;
}

/// Kills at once, starts again, and lets the scheduled handler run.
async fn die(coordinator: &mut Coordinator) {
    coordinator.kill();
    coordinator.launch().await;
    coordinator.run_cron().await;
}

#[tokio::test]
async fn a_kill_between_any_two_steps_of_a_worker_strands_and_doubles_nothing() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = push_to(&world, &sink.url).await;
    world.dan.register(&agent("ws")).await.unwrap();

    // Between the row and its push.
    let request = spawn(&world.dan, json!({"task": "one", "spawned_by": "ws"})).await;
    die(&mut coordinator).await;
    sink.wait_for(1, 30).await;
    // Between the push and the claim.
    die(&mut coordinator).await;
    let reply = world
        .ci
        .call(
            Method::POST,
            "/workers/claim",
            &[("idempotency-key", "k")],
            None,
        )
        .await;
    let claimed: SpawnRequest = reply.unwrap().json().unwrap();
    assert_eq!(claimed.id, request.id);
    // Between the claim and the end; the runner's repeat gets the same lease.
    die(&mut coordinator).await;
    let reply = world
        .ci
        .call(
            Method::POST,
            "/workers/claim",
            &[("idempotency-key", "k")],
            None,
        )
        .await;
    let again: SpawnRequest = reply.unwrap().json().unwrap();
    assert_eq!(again.lease, claimed.lease);
    let done = json!({"lease_token": again.lease.unwrap().token, "status": "completed", "summary": "done 1"});
    let path = format!("/workers/{}", request.id);
    world
        .ci
        .call(Method::PATCH, &path, &[], Some(&done))
        .await
        .unwrap();
    // Between the end and the notice.
    die(&mut coordinator).await;

    // The same with a callback in the runner's place.
    let second = spawn(&world.dan, json!({"task": "two", "spawned_by": "ws"})).await;
    let id = second.id.to_string();
    let body = event("worker.started", &id, json!({"worker_name": "w2"}));
    let call = Call::signed(&world, &id, &secret, "start-2", &body);
    assert_eq!(call.send().await.0, 200);
    die(&mut coordinator).await;
    call.refused("the start again", 409, "callback_replayed")
        .await;
    let body = event(
        "worker.completed",
        &id,
        json!({"worker_name": "w2", "summary": "done 2"}),
    );
    let call = Call::signed(&world, &id, &secret, "end-2", &body);
    assert_eq!(call.send().await.0, 200);
    die(&mut coordinator).await;
    call.refused("the callback again", 409, "callback_replayed")
        .await;

    let notices = eventually("both notices", 30, || async {
        let mail = world.dan.messages("ws", "status=pending").await.unwrap();
        (mail.len() >= 2).then_some(mail)
    })
    .await;
    die(&mut coordinator).await;
    let later = world.dan.messages("ws", "status=pending").await.unwrap();
    assert_eq!(later, notices, "a notice was told twice");
    let texts: Vec<_> = notices.iter().map(|notice| notice.body.as_str()).collect();
    assert!(
        texts[0].contains("done 1") && texts[1].contains("done 2"),
        "{texts:?}"
    );
    // For the receiver's eyes, each request once: a repeat has the same id.
    let mut pushed = ids(&sink);
    pushed.dedup();
    assert_eq!(pushed[0], request.id.to_string());
    assert!(
        pushed.len() <= 2
            && pushed
                .iter()
                .all(|id| *id == request.id.to_string() || *id == second.id.to_string()),
        "{pushed:?}"
    );
}
