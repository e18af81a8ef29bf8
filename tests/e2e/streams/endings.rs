//! How a stream ends, and who may open one.

use super::{closed, event, next, open};
use crate::inbox::revoke_ann;
use crate::{agent, agents, code, delivery_is, message, name, send, status_is, two_agents};
use e2e::{scaled, shared};
use multiclaude_hybrid_client::Event;
use multiclaude_hybrid_protocol::ErrorCode::{AgentNotFound, AgentSuperseded, Forbidden};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::MessageStatus;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_newer_stream_replaces_the_older_and_gets_what_that_had_not_answered() {
    let world = two_agents().await;
    let sent = send(&world, "hello").await;
    let mut older = open(&world.ann).await;
    assert_eq!(next(&mut older).await.id, sent.id);
    let mut newer = open(&world.ann).await;
    assert_eq!(closed(&mut older).await, (4409, "stream_replaced".into()));
    assert_eq!(next(&mut newer).await.id, sent.id);
    newer.confirm(&sent.id, MessageStatus::Delivered).await.unwrap();
    status_is(&world, &sent.id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn it_ends_with_its_incarnation() {
    let world = two_agents().await;
    let mut first = open(&world.ann).await;
    world.ann.deregister("queue").await.unwrap();
    assert_eq!(closed(&mut first).await, (4404, "agent_not_found".into()));
    let refused = world.ann.stream(&name("queue"), None).await;
    assert_eq!(code(refused), AgentNotFound);

    let old = world.ann.register(&agent("queue")).await.unwrap();
    world.ann.deregister("queue").await.unwrap();
    world.ann.register(&agent("queue")).await.unwrap();
    let refused = world.ann.stream(&name("queue"), Some(&old.id)).await;
    assert_eq!(code(refused), AgentSuperseded);
    send(&world, "for the new one").await;
    assert_eq!(next(&mut open(&world.ann).await).await.body, "for the new one");
}

#[tokio::test]
async fn only_who_may_read_the_mailbox_opens_it() {
    let world = two_agents().await;
    assert_eq!(code(world.dan.stream(&name("queue"), None).await), Forbidden);
    let admin = world.dan.with_token(&shared().await.admin);
    assert_eq!(code(admin.stream(&name("queue"), None).await), Forbidden);
    assert!(world.ci.stream(&name("queue"), None).await.is_ok());
    let plain = world.ann.call(reqwest::Method::GET, "/agents/queue/stream", &[], None).await;
    assert_eq!(code(plain), multiclaude_hybrid_protocol::ErrorCode::UpgradeRequired);
}

#[tokio::test]
async fn a_frame_that_is_no_answer_by_its_size_closes_the_stream() {
    let world = two_agents().await;
    let mut stream = open(&world.ann).await;
    stream.send("x".repeat(2000)).await.unwrap();
    assert_eq!(closed(&mut stream).await, (1009, "frame_too_large".into()));
    delivery_is(&world, "queue", Delivery::Polling).await;
}

#[tokio::test]
async fn a_close_is_answered_at_once() {
    let world = two_agents().await;
    let mut stream = open(&world.ann).await;
    stream.begin_close(4000, "going home").await.unwrap();
    assert_eq!(closed(&mut stream).await, (4000, "going home".into()));
}

#[tokio::test]
async fn a_revoked_token_gets_no_further_message_and_acknowledges_nothing() {
    // A token may be believed for a minute, which is a second here.
    let world = scaled(60).await.world().await;
    agents(&world).await;
    world.ann.register(&agent("other")).await.unwrap();
    let mut first = open(&world.ann).await;
    let held = send(&world, "before").await;
    next(&mut first).await;
    first.confirm(&held.id, MessageStatus::Delivered).await.unwrap();
    status_is(&world, &held.id, MessageStatus::Delivered).await;
    let mut second = world.ann.stream(&name("other"), None).await.unwrap();
    revoke_ann(&world).await;
    let ends = async {
        loop {
            let sent = world.dan.send(&message("ws", "other", "after"), None).await.unwrap();
            match event(&mut second).await {
                Event::Message(message) => {
                    second.confirm(&message.id, MessageStatus::Acked).await.unwrap();
                }
                Event::Closed(code, reason) => break (sent.id.to_string(), code, reason),
                other => panic!("{other:?}"),
            }
        }
    };
    let (last, code, reason) = timeout(Duration::from_secs(60), ends).await.expect("an end");
    assert_eq!((code, reason.as_str()), (4401, "unauthenticated"));
    assert_eq!(world.dan.receipt(&last).await.unwrap().status, MessageStatus::Pending);
    // The other stream is older: its minute is over, too.
    first.confirm(&held.id, MessageStatus::Acked).await.unwrap();
    assert_eq!(closed(&mut first).await, (4401, "unauthenticated".into()));
    let receipt = world.dan.receipt(&held.id).await.unwrap();
    assert_eq!(receipt.status, MessageStatus::Delivered);
}
