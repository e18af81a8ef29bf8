//! How long things are kept, in scaled time: a day is 8.64 s at 10,000.

use crate::{agent, agents, code, message, notice};
use e2e::{eventually, scaled};
use multiclaude_hybrid_protocol::ErrorCode::MessageNotFound;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus};
use serde_json::json;
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_millis(8_640);

#[tokio::test]
async fn acked_rows_go_after_a_day_and_delivered_ones_after_seven_but_never_the_newest() {
    let world = scaled(10_000).await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..4 {
        let text = n.to_string();
        let sent = world.dan.send(&message("w", "w", &text), Some(&text)).await.unwrap();
        ids.push(sent.id.to_string());
    }
    let started = Instant::now();
    world.dan.report(&ids[0], "acked").await.unwrap();
    world.dan.report(&ids[1], "delivered").await.unwrap();
    world.dan.report(&ids[3], "acked").await.unwrap();
    assert_eq!(world.dan.messages("w", "").await.unwrap().len(), 4);
    eventually("the acked one to go", || async {
        world.dan.receipt(&ids[0]).await.err().filter(|error| error.code() == Some(MessageNotFound))
    })
    .await;
    assert!(started.elapsed() >= DAY, "{:?}", started.elapsed());
    assert!(world.dan.receipt(&ids[1]).await.is_ok());
    // Its key is kept for eight days, and answers the first message still.
    let again = world.dan.send(&message("w", "w", "0"), Some("0")).await.unwrap();
    assert_eq!(
        (again.id.to_string(), again.status, again.body.as_str()),
        (ids[0].clone(), MessageStatus::Acked, "0")
    );
    // The waiting one expires after seven days, and its sender gets a notice.
    eventually("the delivered one to go", || async {
        world.dan.receipt(&ids[1]).await.err().filter(|error| error.code() == Some(MessageNotFound))
    })
    .await;
    assert!(started.elapsed() >= DAY * 7, "{:?}", started.elapsed());
    let next = world.dan.send(&message("w", "w", "next"), None).await.unwrap();
    assert!(next.id.to_string() > ids[3]);
}

#[tokio::test]
async fn a_message_that_is_not_taken_fails_when_its_time_is_over() {
    let world = scaled(20).await.world().await;
    agents(&world).await;
    let body = json!({"from": "ws", "to": "queue", "body": "x", "ttl_seconds": 10});
    let id = world.dan.send(&body, None).await.unwrap().id.to_string();
    let notice = notice(&world).await;
    assert!(notice.body.contains(&id) && notice.body.contains("expired"));
    let receipt = world.dan.receipt(&id).await.unwrap();
    assert_eq!(
        (receipt.status, receipt.failure_reason),
        (MessageStatus::Failed, Some(FailureReason::Expired))
    );
    assert!(receipt.failed_at.unwrap() >= receipt.expires_at);
    assert_eq!(
        code(world.ann.report(&id, "acked").await),
        multiclaude_hybrid_protocol::ErrorCode::InvalidTransition
    );
}
