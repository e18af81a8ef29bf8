//! Idempotency keys: a repeat makes no second message.

use super::two_agents;
use crate::{agent, code, message};
use multiclaude_hybrid_protocol::ErrorCode::{IdempotencyMismatch, InvalidParameter};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn the_same_key_and_content_answer_the_first_message() {
    let world = two_agents().await;
    let body = message("ws", "queue", "once");
    let headers = [("idempotency-key", "k-1")];
    let first = world.dan.call(Method::POST, "/messages", &headers, Some(&body)).await.unwrap();
    let again = world.dan.call(Method::POST, "/messages", &headers, Some(&body)).await.unwrap();
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    let (first, again): (Message, Message) = (first.json().unwrap(), again.json().unwrap());
    assert_eq!(first, again);
    world.ann.report(&first.id.to_string(), "acked", None).await.unwrap();
    assert_eq!(world.dan.send(&body, Some("k-1")).await.unwrap().status, MessageStatus::Acked);
    assert_eq!(world.ann.messages("queue", "").await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_key_for_other_content_is_a_mismatch() {
    let world = two_agents().await;
    world.dan.send(&message("ws", "queue", "one"), Some("k")).await.unwrap();
    assert_eq!(
        code(world.dan.send(&message("ws", "queue", "two"), Some("k")).await),
        IdempotencyMismatch
    );
    let other = json!({"from": "ws", "to": "queue", "body": "one", "ttl_seconds": 60});
    assert_eq!(code(world.dan.send(&other, Some("k")).await), IdempotencyMismatch);
}

#[tokio::test]
async fn a_key_is_scoped_to_caller_sender_and_recipient() {
    let world = two_agents().await;
    world.dan.register(&agent("ws2")).await.unwrap();
    let key = Some("same");
    let mut ids = vec![world.dan.send(&message("ws", "queue", "a"), key).await.unwrap().id];
    ids.push(world.dan.send(&message("ws2", "queue", "b"), key).await.unwrap().id);
    ids.push(world.dan.send(&message("ws", "ws2", "c"), key).await.unwrap().id);
    ids.push(world.ci.send(&message("ws", "queue", "d"), key).await.unwrap().id);
    ids.dedup();
    assert_eq!(ids.len(), 4);
    for bad in ["", "with space", &"k".repeat(256)] {
        let refused = world.dan.send(&message("ws", "queue", "x"), Some(bad)).await;
        assert_eq!(code(refused), InvalidParameter, "{bad}");
    }
}

#[tokio::test]
async fn fifty_repeats_at_once_make_one_message() {
    let world = two_agents().await;
    let sends = (0..50).map(|_| {
        let dan = world.dan.clone();
        tokio::spawn(
            async move { dan.send(&message("ws", "queue", "x"), Some("k")).await.unwrap().id },
        )
    });
    let mut ids = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        ids.push(send.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}
