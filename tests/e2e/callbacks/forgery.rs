//! Callbacks that are not what they seem, and the secrets that sign true ones.

use super::{Call, event, get, now, push_to, serving, spawn};
use crate::with_endpoint;
use e2e::{Received, Sink, eventually, scaled, shared, until};
use multiclaude_hybrid_protocol::spawn::{Claim, SpawnStatus};
use serde_json::{Value, json};

#[tokio::test]
async fn a_callback_cannot_change_a_request_that_a_runner_holds() {
    let (world, _, secret) = serving(shared().await, vec![]).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let id = request.id.to_string();
    let claimed = world.ci.claim(&Claim::default(), None).await.unwrap().unwrap();
    for (webhook_id, kind) in [
        ("a", "worker.started"),
        ("b", "worker.progress"),
        ("c", "worker.completed"),
        ("d", "worker.failed"),
    ] {
        let body = event(kind, &id, json!({"worker_name": "thief"}));
        let call = Call::signed(&world, &id, &secret, webhook_id, &body);
        call.refused(kind, 409, "lease_lost").await;
    }
    let after = get(&world, &id).await;
    assert_eq!((after.status, after.worker_name), (SpawnStatus::InProgress, None));
    assert_eq!(after.lease_expires_at, Some(claimed.lease.unwrap().expires_at));
}

#[tokio::test]
async fn a_callback_that_is_not_what_it_seems_is_refused_and_changes_nothing() {
    let (world, sink, secret) = serving(shared().await, vec![]).await;
    let other = shared().await.world().await;
    let foreign = push_to(&other, &sink.url).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let another = spawn(&world.dan, json!({"task": "another"})).await;
    let (id, another) = (request.id.to_string(), another.id.to_string());
    let body = event("worker.failed", &id, json!({}));
    let good = Call::signed(&world, &id, &secret, "good", &body);

    let at = |at| Call::at(&world, &id, &secret, "x", body.to_string(), at);
    let by = |secret: &str| Call::signed(&world, &id, secret, "x", &body);
    let agent = world.ann.register(&with_endpoint("q", &sink.url)).await.unwrap();
    for (what, call) in [
        ("unsigned", Call { signature: String::new(), ..good.clone() }),
        ("wrongly signed", Call { signature: "v1,AAAA v2,x".into(), ..good.clone() }),
        ("another webhook-id", Call { id: "better".into(), ..good.clone() }),
        ("a webhook-id with a dot", Call::signed(&world, &id, &secret, "a.b", &body)),
        ("another body", Call { body: good.body.replace("failed", "completed"), ..good.clone() }),
        ("late", at(now() - 330)),
        ("early", at(now() + 330)),
        ("another repo's secret", by(&foreign)),
        ("an agent's secret", by(&agent.webhook_secret.unwrap())),
    ] {
        call.refused(what, 401, "invalid_signature").await;
    }
    let elsewhere = Call::signed(&world, &another, &secret, "x", &body);
    elsewhere.refused("another request's path", 422, "validation_failed").await;
    let not_there = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";
    let fails = |id: &str, webhook_id: &str| {
        Call::signed(&world, id, &secret, webhook_id, &event("worker.failed", id, json!({})))
    };
    let unknown = fails(not_there, "x");
    unknown.refused("an unknown request", 404, "worker_not_found").await;
    let push = &sink.wait_for(1).await[0];
    let echoed = Call {
        url: good.url.clone(),
        id: push.id(),
        timestamp: push.header("webhook-timestamp"),
        signature: push.header("webhook-signature"),
        body: push.body.clone(),
    };
    assert_eq!(echoed.id, id);
    echoed.refused("a push sent back", 422, "validation_failed").await;
    assert_eq!(get(&world, &id).await.status, SpawnStatus::Pending);
    assert_eq!(get(&world, &another).await.status, SpawnStatus::Pending);

    assert_eq!(good.send().await.0, 200);
    good.refused("a replay", 409, "callback_replayed").await;
    let again = fails(&another, "good");
    again.refused("its webhook-id for another request", 409, "callback_replayed").await;
    assert_eq!(get(&world, &another).await.status, SpawnStatus::Pending);
}

#[tokio::test]
async fn a_leaked_secret_is_out_of_force_once_the_endpoint_was_cleared() {
    let (world, sink, leaked) = serving(shared().await, vec![]).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let id = request.id.to_string();
    let body = event("worker.failed", &id, json!({}));
    let put = async |config: Value| world.ci.configure(&config).await.unwrap();
    put(json!({"spawn_endpoint": ""})).await;
    let call = Call::signed(&world, &id, &leaked, "cleared", &body);
    call.refused("without an endpoint", 401, "invalid_signature").await;
    let fresh = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    put(json!({"spawn_endpoint": "", "webhook_secret": fresh})).await;
    put(json!({"spawn_endpoint": sink.url})).await;
    let call = Call::signed(&world, &id, &leaked, "leaked", &body);
    call.refused("by the leaked secret", 401, "invalid_signature").await;
    assert_eq!(Call::signed(&world, &id, fresh, "fresh", &body).send().await.0, 200);
}

/// The first push of this request. Another's may come again at any time.
async fn push_of(sink: &Sink, id: &str) -> Received {
    eventually("the push of a request", || async {
        sink.received().into_iter().find(|push| push.id() == id)
    })
    .await
}

#[tokio::test]
async fn for_24_hours_a_replaced_secret_signs_pushes_and_callbacks_too() {
    // 24 h are 22 s: longer than a push may take on a busy machine.
    let (world, sink, old) = serving(scaled(4_000).await, vec![]).await;
    spawn(&world.dan, json!({"task": "before"})).await;
    sink.wait_for(1).await;
    let new = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    let config = json!({"spawn_endpoint": sink.url, "webhook_secret": new, "max_spawns_per_minute": 1000, "max_workers": 1000});
    world.ci.configure(&config).await.unwrap();
    let request = spawn(&world.dan, json!({"task": "after"})).await;
    let id = request.id.to_string();
    let push = push_of(&sink, &id).await;
    assert!(push.verify(&old) && push.verify(new));
    let body = event("worker.started", &id, json!({"worker_name": "w"}));
    assert_eq!(Call::signed(&world, &id, &old, "by-old", &body).send().await.0, 200);
    until("the old secret to end", async || {
        let call = Call::signed(&world, &id, &old, &format!("at-{}", now()), &body);
        call.send().await.0 == 401
    })
    .await;
    // The mailbox that pushes heard of the new secret a moment after the config.
    until("a push under the new secret alone", async || {
        let request = spawn(&world.dan, json!({"task": "later"})).await;
        let push = push_of(&sink, request.id.as_str()).await;
        assert!(push.verify(new));
        !push.verify(&old)
    })
    .await;
}
