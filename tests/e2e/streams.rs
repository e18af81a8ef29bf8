//! The stream: a WebSocket that takes the place of pushes.

use crate::{agent, code, message};
use e2e::{Coordinator, Options, Sink, World, eventually, shared};
use multiclaude_hybrid_client::{Event, RepoClient, Stream};
use multiclaude_hybrid_protocol::ErrorCode::{
    AgentNotFound, AgentSuperseded, Forbidden, InvalidJson, MessageNotFound, ValidationFailed,
};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// dan's `ws` sends to ann's `queue`.
async fn agents(world: &World) {
    world.dan.register(&agent("ws")).await.unwrap();
    world.ann.register(&agent("queue")).await.unwrap();
}

async fn send(world: &World, body: &str) -> Message {
    let sent = world.dan.send(&message("ws", "queue", body), None).await;
    sent.unwrap()
}

async fn open(client: &RepoClient) -> Stream {
    client.stream("queue", None).await.unwrap()
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

async fn delivery_is(world: &World, wanted: Delivery) {
    eventually(
        &format!("delivery to be {}", wanted.as_str()),
        20,
        || async {
            let queue = world.dan.agent("queue").await.unwrap();
            (queue.delivery == wanted).then_some(())
        },
    )
    .await;
}

async fn status_is(world: &World, id: &str, wanted: MessageStatus) {
    eventually(&format!("{id} to be {}", wanted.as_str()), 20, || async {
        let receipt = world.dan.receipt(id).await.unwrap();
        (receipt.status == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_comes_in_order_and_the_next_only_after_the_answer() {
    let world = shared().await.world().await;
    agents(&world).await;
    let early = send(&world, "early").await;
    let mut stream = open(&world.ann).await;
    let late = send(&world, "late").await;
    let first = next(&mut stream).await;
    assert_eq!((first.id.clone(), first.body.as_str()), (early.id, "early"));
    let nothing = timeout(Duration::from_millis(300), stream.next()).await;
    assert!(nothing.is_err(), "a second message before the answer");
    stream.confirm(&first.id, "delivered").await.unwrap();
    let second = next(&mut stream).await;
    assert_eq!(second.id, late.id);
    stream.confirm(&second.id, "acked").await.unwrap();
    status_is(&world, &first.id.to_string(), MessageStatus::Delivered).await;
    status_is(&world, &second.id.to_string(), MessageStatus::Acked).await;
    // What was delivered can be acknowledged later, over the stream, too.
    stream.confirm(&first.id, "acked").await.unwrap();
    status_is(&world, &first.id.to_string(), MessageStatus::Acked).await;
    stream.ping().await.unwrap();
    assert!(matches!(event(&mut stream).await, Event::Pong));
}

#[tokio::test]
async fn while_it_lives_the_endpoint_rests_and_afterwards_gets_what_waits() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    let queue = json!({"name": "queue", "type": "merge-queue", "endpoint": sink.url});
    world.ann.register(&queue).await.unwrap();
    let mut stream = open(&world.ann).await;
    delivery_is(&world, Delivery::Stream).await;
    let one = send(&world, "one").await;
    assert_eq!(next(&mut stream).await.id, one.id);
    stream.confirm(&one.id, "acked").await.unwrap();
    let two = send(&world, "two").await;
    // Taken and never answered: the endpoint gets it as soon as the client is gone.
    assert_eq!(next(&mut stream).await.id, two.id);
    stream.close().await.unwrap();
    let pushes = sink.wait_for(1, 20).await;
    let ids: Vec<_> = pushes.iter().map(e2e::Received::id).collect();
    assert_eq!(ids, [two.id.to_string()]);
    delivery_is(&world, Delivery::Webhook).await;
}

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
    newer.confirm(&sent.id, "delivered").await.unwrap();
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
    let stopped = json!({"status": "stopped"});
    let mut second = open(&world.ann).await;
    world.ann.update("queue", &stopped).await.unwrap();
    let mut take_over = agent("queue");
    take_over["take_over"] = json!(true);
    take_over["instance"] = json!("other-machine");
    world.ann.register(&take_over).await.unwrap();
    assert_eq!(closed(&mut second).await, (4409, "agent_superseded".into()));
    let refused = world.ann.stream("queue", Some(&old.id)).await;
    assert_eq!(code(refused), AgentSuperseded);
    send(&world, "for the new one").await;
    assert_eq!(
        next(&mut open(&world.ann).await).await.body,
        "for the new one"
    );
}

#[tokio::test]
async fn only_who_may_read_the_mailbox_opens_it() {
    let world = shared().await.world().await;
    agents(&world).await;
    assert_eq!(code(world.dan.stream("queue", None).await), Forbidden);
    let admin = world.dan.with_token(&shared().await.admin);
    assert_eq!(code(admin.stream("queue", None).await), Forbidden);
    assert!(world.ci.stream("queue", None).await.is_ok());
    let plain = world
        .ann
        .call(reqwest::Method::GET, "/agents/queue/stream", &[], None)
        .await;
    assert_eq!(
        code(plain),
        multiclaude_hybrid_protocol::ErrorCode::UpgradeRequired
    );
}

#[tokio::test]
async fn a_wrong_answer_is_told_and_the_stream_goes_on() {
    let world = shared().await.world().await;
    agents(&world).await;
    let sent = send(&world, "hello").await;
    let mut stream = open(&world.ann).await;
    next(&mut stream).await;
    let own = sent.id.to_string();
    let unknown = own.replace("msg_0", "msg_1");
    for (frame, wanted) in [
        ("nonsense".to_owned(), InvalidJson),
        (json!({"id": own}).to_string(), ValidationFailed),
        (
            json!({"id": own, "status": "failed"}).to_string(),
            ValidationFailed,
        ),
        (
            json!({"id": own.replace("_queue", "_ws"), "status": "acked"}).to_string(),
            ValidationFailed,
        ),
        (
            json!({"id": unknown, "status": "acked"}).to_string(),
            MessageNotFound,
        ),
    ] {
        stream.send(frame).await.unwrap();
        match event(&mut stream).await {
            Event::Refused(problem) => assert_eq!(problem.code, wanted),
            other => panic!("{other:?}"),
        }
    }
    stream.confirm(&sent.id, "acked").await.unwrap();
    status_is(&world, &own, MessageStatus::Acked).await;
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
async fn a_client_that_never_answers_gets_it_thrice_and_then_the_endpoint_does() {
    // 30 s are 1.5 s.
    let coordinator = Coordinator::start(Options {
        scale: 20,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    let queue = json!({"name": "queue", "type": "merge-queue", "endpoint": sink.url});
    world.ann.register(&queue).await.unwrap();
    let mut stream = open(&world.ann).await;
    let sent = send(&world, "anybody?").await;
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(next(&mut stream).await.id, sent.id);
    }
    assert!(started.elapsed() >= Duration::from_millis(2900));
    assert_eq!(closed(&mut stream).await, (4408, "unanswered".into()));
    assert_eq!(sink.wait_for(1, 20).await[0].id(), sent.id.to_string());
    let receipt = world.dan.receipt(&sent.id.to_string()).await.unwrap();
    assert_eq!(receipt.attempts, 4);
    assert_eq!(receipt.last_error.as_deref(), Some("stream_unanswered"));
}

#[tokio::test]
async fn a_revoked_token_gets_no_further_message() {
    let coordinator = Coordinator::start(Options {
        scale: 60,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    agents(&world).await;
    let mut stream = open(&world.ann).await;
    let sent = send(&world, "before").await;
    next(&mut stream).await;
    stream.confirm(&sent.id, "acked").await.unwrap();
    let tokens = world.admin.tokens().await.unwrap();
    for token in tokens.iter().filter(|token| token.owner.as_str() == "ann") {
        world
            .admin
            .revoke_token(&token.id.to_string())
            .await
            .unwrap();
    }
    // A minute, in which it may still be believed, is a second here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = send(&world, "after").await;
    assert_eq!(closed(&mut stream).await, (4401, "unauthenticated".into()));
    assert_eq!(after.status, MessageStatus::Pending);
}

#[tokio::test]
async fn a_revoked_token_acknowledges_nothing_over_a_stream_that_is_still_open() {
    let coordinator = Coordinator::start(Options {
        scale: 60,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    agents(&world).await;
    let sent = send(&world, "before").await;
    let mut stream = open(&world.ann).await;
    next(&mut stream).await;
    // Nothing is under way any more that would be offered, and checked, again.
    stream.confirm(&sent.id, "delivered").await.unwrap();
    status_is(&world, &sent.id.to_string(), MessageStatus::Delivered).await;
    let tokens = world.admin.tokens().await.unwrap();
    let ann = tokens
        .iter()
        .find(|token| token.owner.as_str() == "ann")
        .unwrap();
    world.admin.revoke_token(ann.id.as_str()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.confirm(&sent.id, "acked").await.unwrap();
    assert_eq!(closed(&mut stream).await, (4401, "unauthenticated".into()));
    let receipt = world.dan.receipt(&sent.id.to_string()).await.unwrap();
    assert_eq!(receipt.status, MessageStatus::Delivered);
}

#[tokio::test]
async fn an_idle_stream_outlives_the_eviction_of_its_object() {
    let world = shared().await.world().await;
    agents(&world).await;
    let mut stream = open(&world.ann).await;
    delivery_is(&world, Delivery::Stream).await;
    // workerd evicts an object that has been idle for ten seconds.
    let slept = || {
        let mailbox = format!(
            "\"mailbox\":\"{}/queue\",\"rows\":0,\"what\":\"stream_found\"",
            world.repo
        );
        mailbox
    };
    tokio::time::sleep(Duration::from_secs(13)).await;
    let sent = send(&world, "good morning").await;
    assert_eq!(next(&mut stream).await.id, sent.id);
    stream.confirm(&sent.id, "acked").await.unwrap();
    status_is(&world, &sent.id.to_string(), MessageStatus::Acked).await;
    assert!(
        shared().await.log().contains(&slept()),
        "the object did not sleep"
    );
}

/// Takes messages over streams that come and go, and notes what it confirmed.
async fn come_and_go(ann: RepoClient, stop: Arc<AtomicBool>, seen: Arc<Mutex<Vec<String>>>) {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let Ok(mut stream) = ann.stream("queue", None).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        for _ in 0..20 * (round % 3 + 1) {
            match timeout(Duration::from_millis(500), stream.next()).await {
                Ok(Ok(Event::Message(message))) => {
                    seen.lock().unwrap().push(message.id.to_string());
                    let _ = stream.confirm(&message.id, "delivered").await;
                }
                _ => break,
            }
        }
        let _ = stream.close().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn stream_and_endpoint_together_lose_nothing_while_one_comes_and_goes_and_the_runtime_dies() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    let queue = json!({"name": "queue", "type": "merge-queue", "endpoint": sink.url});
    world.ann.register(&queue).await.unwrap();
    let (stop, streamed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
    let client = tokio::spawn(come_and_go(
        world.ann.clone(),
        stop.clone(),
        Arc::clone(&streamed),
    ));
    let kills = if std::env::var("SOAK").is_ok() { 10 } else { 2 };
    let mut accepted = Vec::new();
    for round in 0..=kills {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            let body = message("ws", "queue", &format!("{round}-{}", accepted.len()));
            let sent = world.dan.send(&body, None).await.unwrap();
            accepted.push(sent.id.to_string());
        }
        if round < kills {
            coordinator.kill();
            coordinator.launch().await;
        }
    }
    let arrivals = || {
        let mut times: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for id in streamed.lock().unwrap().iter() {
            times.entry(id.clone()).or_default().0 += 1;
        }
        for push in sink.received() {
            times.entry(push.id()).or_default().1 += 1;
        }
        times
    };
    let times = eventually("every message", 60, || async {
        let times = arrivals();
        accepted
            .iter()
            .all(|id| times.contains_key(id))
            .then_some(times)
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    client.await.unwrap();
    let by_stream = times.values().filter(|(stream, _)| *stream > 0).count();
    let by_push = times.values().filter(|(_, push)| *push > 0).count();
    assert!(
        by_stream > 20 && by_push > 20,
        "{by_stream} {by_push}: one way hardly took part"
    );
    // Twice only where something ended between a delivery and its mark: a kill
    // (what was marked in its last moments) or a stream that closed.
    let twice = times
        .values()
        .filter(|(stream, push)| stream + push > 1)
        .count();
    println!(
        "{} messages, {by_stream} by stream, {by_push} by push, {twice} twice",
        accepted.len()
    );
    assert!(
        twice * 10 < accepted.len(),
        "{twice} of {} came twice",
        accepted.len()
    );
}
