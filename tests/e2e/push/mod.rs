//! Push: webhooks, falling back to polling.

mod endpoints;
mod failures;
mod secrets;

use crate::{pushed, status_is};
use e2e::{Answer, World, eventually, shared};
use futures_util::future::join_all;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use serde_json::json;

async fn send(world: &World, body: &str) -> String {
    crate::send(world, body).await.id.to_string()
}

/// Waits for the first attempt to push a message.
async fn attempted(world: &World, id: &str) -> Message {
    eventually("an attempt", || async {
        world.dan.receipt(id).await.ok().filter(|receipt| receipt.attempts > 0)
    })
    .await
}

#[tokio::test]
async fn a_push_is_a_standard_webhook_that_the_published_library_verifies() {
    let (world, sink, secret) = pushed(shared().await, vec![]).await;
    let id = send(&world, "hello \u{1F44B}").await;
    let push = &sink.wait_for(1).await[0];
    assert!(push.verify(&secret));
    assert!(!push.verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!(push.id(), id);
    assert_eq!(push.header("content-type"), "application/json");
    let payload = push.json();
    assert_eq!(payload["type"], "message.created");
    assert!(
        multiclaude_hybrid_protocol::Timestamp::parse(payload["timestamp"].as_str().unwrap())
            .is_some()
    );
    let inside: Message = serde_json::from_value(payload["data"].clone()).unwrap();
    assert_eq!((inside.id.to_string(), inside.body.as_str()), (id.clone(), "hello \u{1F44B}"));
    let receipt = status_is(&world, &id, MessageStatus::Delivered).await;
    assert_eq!((receipt.attempts, receipt.last_error), (1, None));
}

#[tokio::test]
async fn an_endpoint_may_acknowledge_at_once_and_say_that_the_agent_has_seen_it() {
    use MessageStatus::{Acked, Delivered};
    let (world, sink, _) = pushed(shared().await, vec![]).await;
    let utf_8 = "application/json; charset=utf-8";
    for (kind, body, status, seen) in [
        (utf_8, r#"{"status":"acked","more":1}"#, Acked, false),
        // Text that is not JSON says nothing.
        ("", r#"{"status":"acked"}"#, Delivered, false),
        ("application/json", r#"{"seen":true}"#, Delivered, true),
        ("application/json", r#"{"status":"acked","seen":true}"#, Acked, true),
        ("application/json", r#"{"seen":false}"#, Delivered, false),
    ] {
        let head = (!kind.is_empty()).then(|| ("content-type", kind.to_owned()));
        sink.answer_next([Answer::Status(200, head.into_iter().collect(), body.to_owned())]);
        let id = send(&world, "x").await;
        let receipt = status_is(&world, &id, status).await;
        assert_eq!(receipt.seen_at.is_some(), seen, "{receipt:?}");
        assert_eq!(receipt.attempts, 1);
    }
}

#[tokio::test]
async fn one_push_is_in_flight_at_a_time_and_the_order_is_kept() {
    let (world, sink, _) = pushed(shared().await, vec![]).await;
    let mut ids = join_all((0..40).map(|_| send(&world, "x"))).await;
    ids.sort();
    let pushed: Vec<_> = sink.wait_for(40).await.iter().map(|push| push.id()).collect();
    assert_eq!(pushed, ids);
}

#[tokio::test]
async fn a_message_that_was_polled_and_acknowledged_is_not_pushed() {
    let later = Answer::Status(503, vec![("retry-after", "3600".into())], String::new());
    let (world, sink, _) = pushed(shared().await, vec![later]).await;
    let first = send(&world, "polled").await;
    sink.wait_for(1).await;
    let second = send(&world, "pushed").await;
    world.ann.report(&first, "acked").await.unwrap();
    // It is tried again at once.
    world.ann.update("queue", &json!({"endpoint": sink.url})).await.unwrap();
    status_is(&world, &second, MessageStatus::Delivered).await;
    assert_eq!(sink.texts(), ["polled", "pushed"]);
}
