//! Ends, cancellations and their repeats.

use super::{claim, get, patch, recorded, spawn};
use crate::{agent, code};
use e2e::{RepoClient, World, eventually, scaled, shared};
use multiclaude_hybrid_protocol::ErrorCode::Forbidden;
use multiclaude_hybrid_protocol::spawn::{Claim, SpawnRequest, SpawnStatus};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn cancelling_ends_what_is_pending_and_asks_what_is_at_work_to_stop() {
    let world = shared().await.world().await;
    let pending = spawn(&world.dan, &json!({"task": "1"})).await.unwrap();
    assert_eq!(code(world.ann.cancel_worker(&pending.id).await), Forbidden);
    let ended = world.dan.cancel_worker(&pending.id).await.unwrap();
    assert_eq!(
        (ended.status, ended.failure_reason.as_deref()),
        (SpawnStatus::Failed, Some("cancelled"))
    );
    assert!(claim(&world.ci, &json!({})).await.is_none());
    spawn(&world.dan, &json!({"task": "2"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    assert!(world.dan.cancel_worker(&held.id).await.unwrap().cancel_requested);
    assert!(patch(&world.ci, &held, json!({})).await.unwrap().cancel_requested);
    let body = json!({"status": "failed", "failure_reason": "cancelled"});
    let done = patch(&world.ci, &held, body).await.unwrap();
    assert_eq!(done.failure_reason.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_repeated_end_or_cancellation_changes_nothing_and_is_recorded_once() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "x"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    let end = |summary: &str| json!({"status": "completed", "summary": summary});
    patch(&world.ci, &held, end("one")).await.unwrap();
    let again = patch(&world.ci, &held, end("two")).await.unwrap();
    assert_eq!(again.summary.as_deref(), Some("one"));
    for _ in 0..2 {
        let ended = world.dan.cancel_worker(&held.id).await.unwrap();
        assert_eq!(ended.status, SpawnStatus::Completed);
    }
    let wanted = ["worker.completed", "worker.claimed", "worker.requested"];
    assert_eq!(recorded(&world, &held).await, wanted);
}

/// Asks for a worker, by `ws`.
async fn by_ws(world: &World, task: &str) -> SpawnRequest {
    spawn(&world.dan, &json!({"task": task, "spawned_by": "ws"})).await.unwrap()
}

/// The ids of the requests that `ws` got notices of, once there are `count`.
async fn told(world: &World, count: usize) -> BTreeSet<String> {
    eventually("the notices", || async {
        let notices = world.dan.messages("ws", "").await.unwrap();
        let ids = notices.iter().map(|notice| notice.metadata["worker"].clone());
        let ids: BTreeSet<_> = ids.collect();
        (ids.len() >= count).then_some(ids)
    })
    .await
}

#[tokio::test]
async fn an_agent_that_cancels_its_own_request_gets_no_notice_of_that() {
    let world = shared().await.world().await;
    let admin = world.dan.with_token(&shared().await.admin);
    world.dan.register(&agent("ws")).await.unwrap();
    let cancel = async |client: &RepoClient, request: &SpawnRequest| {
        client.cancel_worker(&request.id).await.unwrap();
    };
    let failed = |reason: &str| json!({"status": "failed", "failure_reason": reason});
    // At once, by its runner, and because it is given back.
    cancel(&world.dan, &by_ws(&world, "pending").await).await;
    for end in [failed("cancelled"), json!({"status": "pending"})] {
        by_ws(&world, "at work").await;
        let held = claim(&world.ci, &json!({})).await.unwrap();
        cancel(&world.dan, &held).await;
        // That somebody else wants it, too, changes nothing.
        cancel(&admin, &held).await;
        let ended = patch(&world.ci, &held, end).await.unwrap();
        assert_eq!(
            (ended.status, ended.failure_reason.as_deref()),
            (SpawnStatus::Failed, Some("cancelled"))
        );
    }
    // Other ends are news, and so is what others cancel.
    let mut news = Vec::new();
    for end in [failed("the disk is full"), json!({"status": "completed"})] {
        by_ws(&world, "at work").await;
        let held = claim(&world.ci, &json!({})).await.unwrap();
        cancel(&world.dan, &held).await;
        patch(&world.ci, &held, end).await.unwrap();
        news.push(held);
    }
    for client in [&world.ci, &admin] {
        let request = by_ws(&world, "another's").await;
        cancel(client, &request).await;
        news.push(request);
    }
    by_ws(&world, "last").await;
    let last = claim(&world.ci, &json!({})).await.unwrap();
    cancel(&world.ci, &last).await;
    cancel(&world.dan, &last).await;
    patch(&world.ci, &last, failed("cancelled")).await.unwrap();
    news.push(last);
    let wanted: BTreeSet<_> = news.iter().map(|request| request.id.to_string()).collect();
    assert_eq!(told(&world, news.len()).await, wanted);
    shared().await.run_cron().await;
    assert_eq!(told(&world, news.len()).await, wanted);
}

#[tokio::test]
async fn a_claims_key_is_free_again_after_the_end() {
    let world = shared().await.world().await;
    for task in ["one", "two"] {
        spawn(&world.dan, &json!({"task": task})).await.unwrap();
        let held = world.ci.claim(&Claim::default(), Some("again")).await.unwrap().unwrap();
        assert_eq!(held.task, task);
        patch(&world.ci, &held, json!({"status": "completed"})).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_to_be_cancelled_is_given_to_no_other_runner() {
    // A lease of 300 s is 3 s.
    let world = scaled(100).await.world().await;
    spawn(&world.dan, &json!({"task": "x", "retry": true})).await.unwrap();
    let held = claim(&world.ci, &json!({"lease_seconds": 300})).await.unwrap();
    world.dan.cancel_worker(&held.id).await.unwrap();
    let ended = eventually("the lease to end", || async {
        let request = get(&world.dan, &held).await;
        (request.status != SpawnStatus::InProgress).then_some(request)
    })
    .await;
    assert_eq!(ended.status, SpawnStatus::Failed);
    assert_eq!(ended.failure_reason.as_deref(), Some("cancelled"));
    assert!(claim(&world.ci, &json!({})).await.is_none());
}
