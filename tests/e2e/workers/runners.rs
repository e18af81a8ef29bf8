//! When a runner was last seen.

use super::{claim, spawn};
use crate::callbacks::{Call, event, serving};
use crate::code;
use e2e::{RepoClient, eventually, scaled, shared};
use multiclaude_hybrid_protocol::ErrorCode::Forbidden;
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::spawn::Claim;
use reqwest::Method;
use serde_json::json;

async fn seen(client: &RepoClient) -> Option<Timestamp> {
    let asked = spawn(client, &json!({"task": "t"})).await.unwrap();
    if let Some(seen) = asked.runner_seen_at {
        assert!((0..60_000).contains(&(asked.created_at.0 - seen.0)), "{asked:?}");
    }
    asked.runner_seen_at
}

#[tokio::test]
async fn a_request_says_when_a_runner_last_asked_for_work_in_its_repo() {
    let world = shared().await.world().await;
    assert_eq!(seen(&world.dan).await, None);
    // One that may not claim is no runner.
    let admin = world.dan.with_token(&shared().await.admin);
    let refused = admin.claim(&Claim::default(), None).await;
    assert_eq!(code(refused), Forbidden);
    assert_eq!(seen(&world.dan).await, None);
    // It counts whether or not there is anything for it.
    assert!(claim(&world.ci, &json!({"labels": []})).await.is_some());
    let first = seen(&world.dan).await.unwrap();
    while claim(&world.ci, &json!({})).await.is_some() {}
    // Within a minute it is not written again.
    assert_eq!(seen(&world.dan).await, Some(first));
    let other = shared().await.world().await;
    assert!(claim(&other.ci, &json!({})).await.is_none());
    assert!(seen(&other.dan).await.is_some());
    // A repeat of the request shows it, too, and no other answer.
    let ask = async || {
        let key = [("idempotency-key", "k")];
        let body = json!({"task": "t"});
        let reply = other.dan.call(Method::POST, "/workers/spawn", &key, Some(&body)).await;
        reply.unwrap().text
    };
    let (first, again) = (ask().await, ask().await);
    assert!(first.contains("runner_seen_at"));
    assert_eq!(first, again);
    let shown = other.dan.workers(None).await.unwrap();
    assert!(shown.iter().all(|request| request.runner_seen_at.is_none()));
}

#[tokio::test]
async fn a_start_by_callback_counts_as_a_runner() {
    let (world, _, secret) = serving(shared().await, vec![]).await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    assert_eq!(seen(&world.dan).await, None);
    let id = asked.id.as_str();
    let started = event("worker.started", id, json!({"worker_name": "w"}));
    assert_eq!(Call::signed(&world, id, &secret, "c1", &started).send().await.0, 200);
    assert!(seen(&world.dan).await.is_some());
}

#[tokio::test]
async fn a_runner_is_noted_once_a_minute_and_forgotten_after_a_day() {
    // A minute is 6 ms here, a day 8.64 s.
    let world = scaled(10_000).await.world().await;
    assert!(claim(&world.ci, &json!({})).await.is_none());
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let first = asked.runner_seen_at.unwrap();
    eventually("a later time", || async {
        claim(&world.ci, &json!({})).await;
        let asked = spawn(&world.dan, &json!({"task": "t"})).await.ok()?;
        asked.runner_seen_at.filter(|seen| *seen > first)
    })
    .await;
    eventually("the day to pass", || async {
        let asked = spawn(&world.dan, &json!({"task": "t"})).await.ok()?;
        world.dan.cancel_worker(&asked.id).await.unwrap();
        asked.runner_seen_at.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_claim_notes_its_runner_in_the_same_batch() {
    let world = shared().await.world().await;
    // The first one looks its token up and notes that it was used.
    assert!(claim(&world.ci, &json!({})).await.is_none());
    let reply = world.ci.call(Method::POST, "/workers/claim", &[], None).await.unwrap();
    assert_eq!(shared().await.line_of(&reply).await["d1"], 4);
}
