//! How a stream ends, and who may open one.

use super::{agents, closed, delivery_is, next, open, send, status_is};
use crate::{agent, code};
use e2e::{Coordinator, Options, shared};
use multiclaude_hybrid_protocol::ErrorCode::{AgentNotFound, AgentSuperseded, Forbidden};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::MessageStatus;
use std::time::Duration;

#[tokio::test]
async fn a_newer_stream_replaces_the_older_and_gets_what_that_had_not_answered() {
    let world = shared().await.world().await;
    agents(&world).await;
    let sent = send(&world, "hello").await;
    let mut older = open(&world.ann).await;
    assert_eq!(next(&mut older).await.id, sent.id);
    let mut newer = open(&world.ann).await;
    assert_eq!(closed(&mut older).await, (4409, "stream_replaced".into()));
    assert_eq!(next(&mut newer).await.id, sent.id);
    newer.confirm(&sent.id, MessageStatus::Delivered).await.unwrap();
    status_is(&world, &sent.id.to_string(), MessageStatus::Delivered).await;
}

#[tokio::test]
async fn it_ends_with_its_incarnation() {
    let world = shared().await.world().await;
    agents(&world).await;
    let mut first = open(&world.ann).await;
    world.ann.deregister("queue").await.unwrap();
    assert_eq!(closed(&mut first).await, (4404, "agent_not_found".into()));
    let refused = world.ann.stream("queue", None).await;
    assert_eq!(code(refused), AgentNotFound);

    let old = world.ann.register(&agent("queue")).await.unwrap();
    world.ann.deregister("queue").await.unwrap();
    world.ann.register(&agent("queue")).await.unwrap();
    let refused = world.ann.stream("queue", Some(&old.id)).await;
    assert_eq!(code(refused), AgentSuperseded);
    send(&world, "for the new one").await;
    assert_eq!(next(&mut open(&world.ann).await).await.body, "for the new one");
}

#[tokio::test]
async fn only_who_may_read_the_mailbox_opens_it() {
    let world = shared().await.world().await;
    agents(&world).await;
    assert_eq!(code(world.dan.stream("queue", None).await), Forbidden);
    let admin = world.dan.with_token(&shared().await.admin);
    assert_eq!(code(admin.stream("queue", None).await), Forbidden);
    assert!(world.ci.stream("queue", None).await.is_ok());
    let plain = world.ann.call(reqwest::Method::GET, "/agents/queue/stream", &[], None).await;
    assert_eq!(code(plain), multiclaude_hybrid_protocol::ErrorCode::UpgradeRequired);
}

#[tokio::test]
async fn a_frame_that_is_no_answer_by_its_size_closes_the_stream() {
    let world = shared().await.world().await;
    agents(&world).await;
    let mut stream = open(&world.ann).await;
    stream.send("x".repeat(2000)).await.unwrap();
    assert_eq!(closed(&mut stream).await, (1009, "frame_too_large".into()));
    delivery_is(&world, Delivery::Polling).await;
}

#[tokio::test]
async fn a_close_is_answered_at_once() {
    let world = shared().await.world().await;
    agents(&world).await;
    let mut stream = open(&world.ann).await;
    stream.begin_close(4000, "going home").await.unwrap();
    assert_eq!(closed(&mut stream).await, (4000, "going home".into()));
}

#[tokio::test]
async fn a_revoked_token_gets_no_further_message() {
    let coordinator = Coordinator::start(Options { scale: 20, ..Options::default() }).await;
    let world = coordinator.world().await;
    agents(&world).await;
    let mut stream = open(&world.ann).await;
    let sent = send(&world, "before").await;
    next(&mut stream).await;
    stream.confirm(&sent.id, MessageStatus::Acked).await.unwrap();
    let tokens = world.admin.tokens().await.unwrap();
    for token in tokens.iter().filter(|token| token.owner.as_str() == "ann") {
        world.admin.revoke_token(&token.id.to_string()).await.unwrap();
    }
    // A minute, in which it may still be believed, is three seconds here.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = send(&world, "after").await;
    assert_eq!(closed(&mut stream).await, (4401, "unauthenticated".into()));
    assert_eq!(after.status, MessageStatus::Pending);
}

#[tokio::test]
async fn a_revoked_token_acknowledges_nothing_over_a_stream_that_is_still_open() {
    let coordinator = Coordinator::start(Options { scale: 20, ..Options::default() }).await;
    let world = coordinator.world().await;
    agents(&world).await;
    let sent = send(&world, "before").await;
    let mut stream = open(&world.ann).await;
    next(&mut stream).await;
    // Nothing is under way any more that would be offered, and checked, again.
    stream.confirm(&sent.id, MessageStatus::Delivered).await.unwrap();
    status_is(&world, &sent.id.to_string(), MessageStatus::Delivered).await;
    let tokens = world.admin.tokens().await.unwrap();
    let ann = tokens.iter().find(|token| token.owner.as_str() == "ann").unwrap();
    world.admin.revoke_token(ann.id.as_str()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stream.confirm(&sent.id, MessageStatus::Acked).await.unwrap();
    assert_eq!(closed(&mut stream).await, (4401, "unauthenticated".into()));
    let receipt = world.dan.receipt(&sent.id.to_string()).await.unwrap();
    assert_eq!(receipt.status, MessageStatus::Delivered);
}
