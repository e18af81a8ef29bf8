//! A stream beside an endpoint, and beside nothing at all.

use super::{closed, next, open};
use crate::{delivery_is, name, pushed, send, status_is, two_agents};
use e2e::RepoClient;
use e2e::{Coordinator, Options, Sink, eventually, scaled, shared};
use multiclaude_hybrid_client::Event;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::MessageStatus;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::timeout;

#[tokio::test]
async fn while_it_lives_the_endpoint_rests_and_afterwards_gets_what_waits() {
    let (world, sink, _) = pushed(shared().await, vec![]).await;
    let mut stream = open(&world.ann).await;
    delivery_is(&world, "queue", Delivery::Stream).await;
    // Another endpoint is set beside it: the stream stays the delivery, and is shown.
    let other = format!("{}/other", sink.url);
    world.ann.update("queue", &json!({"endpoint": other})).await.unwrap();
    delivery_is(&world, "queue", Delivery::Stream).await;
    let one = send(&world, "one").await;
    assert_eq!(next(&mut stream).await.id, one.id);
    stream.confirm(&one.id, MessageStatus::Acked).await.unwrap();
    let two = send(&world, "two").await;
    // Taken and never answered: the endpoint gets it as soon as the client is gone.
    assert_eq!(next(&mut stream).await.id, two.id);
    stream.begin_close(1000, "").await.unwrap();
    drop(stream);
    let pushes = sink.wait_for(1).await;
    let ids: Vec<_> = pushes.iter().map(e2e::Received::id).collect();
    assert_eq!(ids, [two.id.to_string()]);
    delivery_is(&world, "queue", Delivery::Webhook).await;
}

#[tokio::test]
async fn beside_an_endpoint_a_client_that_never_answers_gets_one_offer() {
    // 30 s are 1.5 s.
    let (world, sink, _) = pushed(scaled(20).await, vec![]).await;
    let mut stream = open(&world.ann).await;
    let started = Instant::now();
    let sent = send(&world, "anybody?").await;
    assert_eq!(next(&mut stream).await.id, sent.id);
    assert_eq!(closed(&mut stream).await, (4408, "unanswered".into()));
    assert_eq!(sink.wait_for(1).await[0].id(), sent.id.to_string());
    let receipt = status_is(&world, &sent.id, MessageStatus::Delivered).await;
    assert!(started.elapsed() >= Duration::from_millis(1400));
    assert_eq!(receipt.attempts, 2);
    assert_eq!(receipt.last_error.as_deref(), Some("stream_unanswered"));
}

#[tokio::test]
async fn an_idle_stream_outlives_the_eviction_of_its_object() {
    let world = two_agents().await;
    let mut stream = open(&world.ann).await;
    delivery_is(&world, "queue", Delivery::Stream).await;
    let found =
        format!("\"mailbox\":\"{}/queue\",\"rows\":0,\"what\":\"stream_found\"", world.repo);
    for pause in 0.. {
        // workerd evicts an object that has been idle for ten seconds, or for longer
        // on a busy machine; nothing shows it before the object is used again.
        tokio::time::sleep(Duration::from_secs(10 + pause)).await;
        let sent = send(&world, "good morning").await;
        assert_eq!(next(&mut stream).await.id, sent.id);
        stream.confirm(&sent.id, MessageStatus::Acked).await.unwrap();
        status_is(&world, &sent.id, MessageStatus::Acked).await;
        if shared().await.log().contains(&found) {
            break;
        }
        assert!(pause < 10, "the object was never evicted");
    }
}

/// Takes messages over streams that come and go, and records what it confirmed. Between
/// two streams the endpoint gets some.
async fn come_and_go(
    ann: RepoClient,
    sink: Sink,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let Ok(mut stream) = ann.stream(&name("queue"), None).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        for _ in 0..20 * (round % 3 + 1) {
            match timeout(Duration::from_millis(500), stream.next()).await {
                Ok(Ok(Event::Message(message))) => {
                    seen.lock().unwrap().push(message.id.to_string());
                    let _ = stream.confirm(&message.id, MessageStatus::Delivered).await;
                }
                _ => break,
            }
        }
        let _ = stream.begin_close(1000, "").await;
        drop(stream);
        let (before, until) = (sink.received().len(), Instant::now() + Duration::from_secs(5));
        while sink.received().len() < before + 4 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn stream_and_endpoint_together_lose_nothing_while_one_comes_and_goes_and_the_runtime_dies() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let (world, sink, _) = pushed(&coordinator, vec![]).await;
    let (stop, streamed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
    let client = tokio::spawn(come_and_go(
        world.ann.clone(),
        sink.clone(),
        stop.clone(),
        Arc::clone(&streamed),
    ));
    let kills = if std::env::var("SOAK").is_ok() { 10 } else { 2 };
    let mut accepted = Vec::new();
    // A round lasts until both ways have taken part in it.
    let taken = || (streamed.lock().unwrap().len(), sink.received().len());
    for round in 0..=kills {
        let (by_stream, by_push) = taken();
        let both = || taken().0 > by_stream + 10 && taken().1 > by_push + 10;
        let until = Instant::now() + Duration::from_secs(60);
        while !both() {
            assert!(Instant::now() < until, "one way took no part: {:?}", taken());
            let sent = send(&world, &format!("{round}-{}", accepted.len())).await;
            accepted.push(sent.id.to_string());
        }
        if round < kills {
            coordinator.restart().await;
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
    let times = eventually("every message", || async {
        let times = arrivals();
        accepted.iter().all(|id| times.contains_key(id)).then_some(times)
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    client.await.unwrap();
    let by_stream = times.values().filter(|(stream, _)| *stream > 0).count();
    let by_push = times.values().filter(|(_, push)| *push > 0).count();
    // Twice only where something ended between a delivery and its mark: a kill
    // (what was marked in its last moments) or a stream that closed.
    let twice = times.values().filter(|(stream, push)| stream + push > 1).count();
    println!(
        "{} messages, {by_stream} by stream, {by_push} by push, {twice} twice",
        accepted.len()
    );
    assert!(twice * 10 < accepted.len(), "{twice} of {} came twice", accepted.len());
}
