//! Each request is given once, and no more are taken than a repo allows.

use super::{claim, limits, spawn};
use e2e::shared;
use futures_util::future::join_all;
use multiclaude_hybrid_protocol::ErrorCode::{SpawnRateLimited, WorkerLimitReached};
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

#[tokio::test]
async fn of_two_hundred_claims_at_once_over_twenty_requests_each_is_given_once() {
    let rounds = if std::env::var("SOAK").is_ok() { 10 } else { 1 };
    for _ in 0..rounds {
        let world = shared().await.world().await;
        limits(&world, 100, 100).await;
        for n in 0..20 {
            spawn(&world.dan, &json!({"task": n.to_string()})).await.unwrap();
        }
        let any = json!({});
        let claims = join_all((0..200).map(|_| claim(&world.ci, &any))).await;
        let mut given = HashMap::new();
        for request in claims.into_iter().flatten() {
            *given.entry(request.id).or_insert(0) += 1;
        }
        assert_eq!(given.len(), 20);
        assert!(given.values().all(|&times| times == 1), "{given:?}");
    }
}

#[tokio::test]
async fn of_fifty_requests_at_once_a_limit_of_ten_accepts_ten() {
    let rounds = if std::env::var("SOAK").is_ok() { 10 } else { 1 };
    for _ in 0..rounds {
        for (limit, wanted) in [((1000, 10), WorkerLimitReached), ((10, 1000), SpawnRateLimited)] {
            let world = shared().await.world().await;
            limits(&world, limit.0, limit.1).await;
            let task = json!({"task": "t"});
            let mut accepted = 0;
            for asked in join_all((0..50).map(|_| spawn(&world.dan, &task))).await {
                match asked {
                    Ok(_) => accepted += 1,
                    Err(error) => assert_eq!(error.code(), Some(wanted)),
                }
            }
            assert_eq!(accepted, 10);
        }
    }
}

#[tokio::test]
async fn an_ended_worker_makes_room_and_a_refusal_says_when_to_come_back() {
    let world = shared().await.world().await;
    limits(&world, 3, 1).await;
    let first = spawn(&world.dan, &json!({"task": "1"})).await.unwrap();
    let refused = spawn(&world.dan, &json!({"task": "2"})).await.unwrap_err();
    assert_eq!((refused.code(), refused.status()), (Some(WorkerLimitReached), Some(429)));
    assert!(refused.retry_after() > Some(Duration::ZERO), "{refused:?}");
    world.dan.cancel_worker(&first.id).await.unwrap();
    assert!(spawn(&world.dan, &json!({"task": "2"})).await.is_ok());
}
