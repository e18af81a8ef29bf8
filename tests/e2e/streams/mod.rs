//! The stream: a WebSocket that takes the place of pushes.

mod beside;
mod endings;

use crate::{name, send, status_is, two_agents};
use e2e::{RepoClient, eventually};
use multiclaude_hybrid_client::{Event, Stream};
use multiclaude_hybrid_protocol::ErrorCode::{InvalidJson, MessageNotFound, ValidationFailed};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, Report};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

async fn open(client: &RepoClient) -> Stream {
    client.stream(&name("queue"), None).await.unwrap()
}

async fn event(stream: &mut Stream) -> Event {
    let next = timeout(Duration::from_secs(20), stream.next()).await;
    next.expect("nothing came").unwrap()
}

async fn next(stream: &mut Stream) -> Message {
    match event(stream).await {
        Event::Message(message) => *message,
        other => panic!("not a message: {other:?}"),
    }
}

async fn closed(stream: &mut Stream) -> (u16, String) {
    loop {
        if let Event::Closed(code, reason) = event(stream).await {
            return (code, reason);
        }
    }
}

#[tokio::test]
async fn waiting_messages_come_in_order_and_the_next_only_after_the_answer() {
    let world = two_agents().await;
    let early = send(&world, "early").await;
    let mut stream = open(&world.ann).await;
    let late = send(&world, "late").await;
    let first = next(&mut stream).await;
    assert_eq!((first.id.clone(), first.body.as_str()), (early.id, "early"));
    let nothing = timeout(Duration::from_millis(300), stream.next()).await;
    assert!(nothing.is_err(), "a second message before the answer");
    stream.confirm(&first.id, MessageStatus::Delivered).await.unwrap();
    let second = next(&mut stream).await;
    assert_eq!(second.id, late.id);
    stream.confirm(&second.id, MessageStatus::Acked).await.unwrap();
    status_is(&world, &first.id, MessageStatus::Delivered).await;
    status_is(&world, &second.id, MessageStatus::Acked).await;
    // What was delivered can be acknowledged later, over the stream, too.
    stream.confirm(&first.id, MessageStatus::Acked).await.unwrap();
    status_is(&world, &first.id, MessageStatus::Acked).await;
    stream.ping().await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Pong));
}

#[tokio::test]
async fn an_answer_may_say_that_the_agent_has_seen_it_at_once_or_later() {
    let world = two_agents().await;
    let mut stream = open(&world.ann).await;
    let mut ids = Vec::new();
    for report in [Report::SEEN, Report::ACKED.and_seen(), Report::DELIVERED] {
        send(&world, "x").await;
        let message = next(&mut stream).await;
        stream.confirm(&message.id, report).await.unwrap();
        ids.push(message.id);
    }
    let receipt = async |at: usize| world.dan.receipt(&ids[at].to_string()).await.unwrap();
    status_is(&world, &ids[2], MessageStatus::Delivered).await;
    let (seen, acked, delivered) = (receipt(0).await, receipt(1).await, receipt(2).await);
    assert!(seen.seen_at.is_some() && seen.status == MessageStatus::Delivered, "{seen:?}");
    assert!(acked.seen_at.is_some() && acked.status == MessageStatus::Acked, "{acked:?}");
    assert_eq!(delivered.seen_at, None);
    stream.confirm(&ids[2], Report::SEEN).await.unwrap();
    let later = eventually("the later proof", || async {
        let later = receipt(2).await;
        later.seen_at.is_some().then_some(later)
    })
    .await;
    assert_eq!(later.delivered_at, delivered.delivered_at);
}

#[tokio::test]
async fn a_wrong_answer_is_refused_and_the_stream_goes_on() {
    let world = two_agents().await;
    let sent = send(&world, "hello").await;
    let mut stream = open(&world.ann).await;
    next(&mut stream).await;
    let own = sent.id.to_string();
    let unknown = own.replace("msg_0", "msg_1");
    for (frame, wanted) in [
        ("nonsense".to_owned(), InvalidJson),
        (json!({"id": own}).to_string(), ValidationFailed),
        (json!({"id": own, "status": "failed"}).to_string(), ValidationFailed),
        (json!({"id": own, "seen": false}).to_string(), ValidationFailed),
        (
            json!({"id": own.replace("_queue", "_ws"), "status": "acked"}).to_string(),
            ValidationFailed,
        ),
        (json!({"id": unknown, "status": "acked"}).to_string(), MessageNotFound),
    ] {
        stream.send(frame).await.unwrap();
        match event(&mut stream).await {
            Event::Refused(problem) => assert_eq!(problem.code, wanted),
            other => panic!("{other:?}"),
        }
    }
    stream.confirm(&sent.id, MessageStatus::Acked).await.unwrap();
    status_is(&world, &own, MessageStatus::Acked).await;
}
