//! Idempotency keys: a repeat makes no second message.

use crate::{agent, code, message, two_agents};
use futures_util::future::join_all;
use multiclaude_hybrid_protocol::ErrorCode::{IdempotencyMismatch, InvalidParameter};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;

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
    world.ann.report(&first.id, "acked").await.unwrap();
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
    let mut ids = BTreeSet::new();
    for (client, from, to) in [
        (&world.dan, "ws", "queue"),
        (&world.dan, "ws2", "queue"),
        (&world.dan, "ws", "ws2"),
        (&world.ci, "ws", "queue"),
    ] {
        ids.insert(client.send(&message(from, to, "x"), key).await.unwrap().id.to_string());
    }
    assert_eq!(ids.len(), 4);
    for bad in ["", "with space", &"k".repeat(256)] {
        let refused = world.dan.send(&message("ws", "queue", "x"), Some(bad)).await;
        assert_eq!(code(refused), InvalidParameter, "{bad}");
    }
}

#[tokio::test]
async fn fifty_repeats_at_once_make_one_message() {
    let world = two_agents().await;
    let body = message("ws", "queue", "x");
    let sent = join_all((0..50).map(|_| world.dan.send(&body, Some("k")))).await;
    let ids: BTreeSet<_> = sent.into_iter().map(|sent| sent.unwrap().id.to_string()).collect();
    assert_eq!(ids.len(), 1);
}
