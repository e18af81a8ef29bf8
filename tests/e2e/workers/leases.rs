//! Leases: who holds a request, and what follows when that one is silent.

use super::{claim, get, patch, spawn};
use crate::{agent, code};
use e2e::{eventually, scaled, shared, until};
use multiclaude_hybrid_protocol::ErrorCode::{Forbidden, LeaseLost, WorkerNotFound};
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_runner_that_stops_before_the_start_loses_its_lease_to_the_next_claim() {
    let world = scaled(20).await.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    // A lease of 120 s is six seconds here, one of 600 thirty.
    let first = claim(&world.ci, &json!({"lease_seconds": 120})).await.unwrap();
    assert!(claim(&world.ci, &json!({})).await.is_none());
    let second = eventually("the next claim", || async {
        claim(&world.ci, &json!({"lease_seconds": 600})).await
    })
    .await;
    assert_eq!(second.id, asked.id);
    for body in [json!({"worker_name": "late"}), json!({"status": "completed"}), json!({})] {
        assert_eq!(code(patch(&world.ci, &first, body).await), LeaseLost);
    }
    let now = get(&world.dan, &asked).await;
    assert_eq!((now.status, now.worker_name), (SpawnStatus::InProgress, None));
    patch(&world.ci, &second, json!({"worker_name": "w"})).await.unwrap();
}

#[tokio::test]
async fn the_third_lease_that_ends_before_a_start_fails_the_request_by_a_look_or_on_schedule() {
    let coordinator = scaled(300).await;
    for on_schedule in [false, true] {
        let world = coordinator.world().await;
        world.dan.register(&agent("ws")).await.unwrap();
        spawn(&world.dan, &json!({"task": "t", "spawned_by": "ws"})).await.unwrap();
        for _ in 0..3 {
            eventually("a claim", || async {
                claim(&world.ci, &json!({"lease_seconds": 30})).await
            })
            .await;
        }
        let failed = async || world.dan.workers(Some(SpawnStatus::Failed)).await.unwrap().pop();
        let notice = eventually("the notice", || async {
            if on_schedule {
                coordinator.run_cron().await;
            } else {
                failed().await;
            }
            world.dan.messages("ws", "").await.unwrap().pop()
        })
        .await;
        assert!(notice.body.contains("never_started"));
        let reason = failed().await.unwrap().failure_reason;
        assert_eq!(reason.as_deref(), Some("never_started"));
    }
}

#[tokio::test]
async fn a_started_worker_is_given_to_no_other_runner_may_come_back_late_and_fails_after_an_hour() {
    // A lease of 600 s is 6 s here, one of 30 s is 0.3 s, the hour 36 s.
    let world = scaled(100).await.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({"lease_seconds": 600})).await.unwrap();
    patch(&world.ci, &held, json!({"worker_name": "w", "lease_seconds": 30})).await.unwrap();
    until("the lease's end", async || get(&world.dan, &asked).await.lease_expired).await;
    assert!(claim(&world.ci, &json!({})).await.is_none());
    let late = patch(&world.ci, &held, json!({"lease_seconds": 30})).await.unwrap();
    assert_eq!((late.status, late.lease_expired), (SpawnStatus::InProgress, false));
    let failed = eventually("the hour to pass", || async {
        let now = get(&world.dan, &asked).await;
        assert!(claim(&world.ci, &json!({})).await.is_none(), "it was given to a second runner");
        (now.status == SpawnStatus::Failed).then_some(now)
    })
    .await;
    assert_eq!(failed.failure_reason.as_deref(), Some("runner_lost"));
    assert_eq!(code(patch(&world.ci, &held, json!({"status": "completed"})).await), LeaseLost);
}

#[tokio::test]
async fn with_retry_a_started_worker_whose_lease_ends_is_claimed_again() {
    let world = scaled(100).await.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t", "retry": true})).await.unwrap();
    let first = claim(&world.ci, &json!({"lease_seconds": 600})).await.unwrap();
    patch(&world.ci, &first, json!({"worker_name": "w1", "lease_seconds": 30})).await.unwrap();
    let second =
        eventually("the second claim", || async { claim(&world.ci, &json!({})).await }).await;
    assert_eq!((second.id, second.worker_name.as_ref()), (asked.id.clone(), None));
    assert_eq!(code(patch(&world.ci, &first, json!({})).await), LeaseLost);
}

#[tokio::test]
async fn a_lease_is_shown_to_its_claimer_alone_and_a_guess_is_refused() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    let shown =
        world.dan.call(Method::GET, &format!("/workers/{}", held.id), &[], None).await.unwrap();
    assert!(!shown.text.contains(&held.lease.as_ref().unwrap().token));
    assert_eq!(
        code(patch(&world.ann, &held, json!({"lease_token": "lease_x", "status": "failed"})).await),
        LeaseLost
    );
    let other = shared().await.world().await;
    assert_eq!(code(patch(&other.ci, &held, json!({})).await), WorkerNotFound);
    let stranger = other.dan.client.repo(&world.repo);
    assert_eq!(code(spawn(&stranger, &json!({"task": "t"})).await), Forbidden);
}
