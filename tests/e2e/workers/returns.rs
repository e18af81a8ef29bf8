//! Requests that a runner gives back.

use super::{claim, get, patch, recorded, spawn};
use crate::callbacks::{ids, serving};
use crate::code;
use e2e::{eventually, scaled, shared};
use multiclaude_hybrid_protocol::ErrorCode::{InvalidTransition, LeaseLost};
use multiclaude_hybrid_protocol::spawn::{Claim, SpawnStatus, WorkerUpdate};
use serde_json::{Value, json};

fn back() -> Value {
    json!({"status": "pending"})
}

#[tokio::test]
async fn a_request_that_is_given_back_is_as_if_it_had_never_been_claimed() {
    let world = shared().await.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let runner = &world.ci;
    let held = runner.claim(&Claim::default(), Some("k")).await.unwrap().unwrap();
    let update = WorkerUpdate::give_back(&held.lease.as_ref().unwrap().token);
    let returned = runner.update_worker(&held.id, &update).await.unwrap();
    assert_eq!(returned, asked);
    assert_eq!(get(&world.dan, &asked).await, asked);
    // A lost answer, and everything else under the old lease.
    for body in [back(), json!({}), json!({"status": "completed"})] {
        assert_eq!(code(patch(&world.ci, &held, body).await), LeaseLost);
    }
    // The claim's key is free again.
    let again = runner.claim(&Claim::default(), Some("k")).await.unwrap().unwrap();
    assert_eq!(again.id, held.id);
    assert_ne!(again.lease, held.lease);
    let wanted = ["worker.claimed", "worker.returned", "worker.claimed", "worker.requested"];
    assert_eq!(recorded(&world, &asked).await, wanted);
}

#[tokio::test]
async fn a_started_request_is_given_back_with_retry_only() {
    let world = shared().await.world().await;
    for retry in [false, true] {
        spawn(&world.dan, &json!({"task": "t", "retry": retry})).await.unwrap();
        let held = claim(&world.ci, &json!({})).await.unwrap();
        patch(&world.ci, &held, json!({"worker_name": "w"})).await.unwrap();
        let answer = patch(&world.ci, &held, back()).await;
        if retry {
            let returned = answer.unwrap();
            assert_eq!((returned.status, returned.worker_name), (SpawnStatus::Pending, None));
        } else {
            let refused = answer.unwrap_err();
            assert_eq!(refused.code(), Some(InvalidTransition));
            assert!(refused.to_string().contains("has started"), "{refused}");
            let now = patch(&world.ci, &held, json!({"status": "completed"})).await.unwrap();
            assert_eq!(now.status, SpawnStatus::Completed);
        }
    }
}

#[tokio::test]
async fn a_claim_that_was_given_back_does_not_count_towards_the_three() {
    let world = scaled(300).await.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    for _ in 0..4 {
        let held = claim(&world.ci, &json!({"lease_seconds": 3600})).await.unwrap();
        patch(&world.ci, &held, back()).await.unwrap();
    }
    for lost in 1..=3 {
        eventually("a claim", || async { claim(&world.ci, &json!({"lease_seconds": 30})).await })
            .await;
        let ended = eventually("the lease to end", || async {
            let now = get(&world.dan, &asked).await;
            (now.status != SpawnStatus::InProgress).then_some(now.status)
        })
        .await;
        let is = if lost < 3 { SpawnStatus::Pending } else { SpawnStatus::Failed };
        assert_eq!(ended, is, "after {lost}");
    }
}

#[tokio::test]
async fn a_request_that_is_given_back_is_pushed_again() {
    let (world, sink, _) = serving(shared().await, vec![]).await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    for round in 0..3 {
        sink.wait_for(round + 1).await;
        let held = claim(&world.ci, &json!({})).await.unwrap();
        patch(&world.ci, &held, back()).await.unwrap();
    }
    sink.wait_for(4).await;
    let id = &asked.id;
    let named = [id.to_string(), format!("{id}_1"), format!("{id}_2"), format!("{id}_3")];
    assert_eq!(ids(&sink), named);
}
