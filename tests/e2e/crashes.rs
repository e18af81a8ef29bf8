//! The runtime is killed, and nothing that was answered is lost.

use crate::senders::Senders;
use crate::{agent, agents, message, name, notice, pushed, send, status_is};
use e2e::{Answer, Client, Coordinator, Options, Sink, World, eventually, until};
use multiclaude_hybrid_protocol::message::MessageStatus;
use reqwest::Method;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

const RECIPIENTS: usize = 8;

#[tokio::test]
async fn three_kills_under_sixteen_senders_lose_nothing_that_was_accepted() {
    let rounds = if std::env::var("SOAK").is_ok() { 20 } else { 3 };
    let (mut coordinator, world) = Coordinator::own().await;
    world.dan.register(&agent("ws")).await.unwrap();
    // Half of the recipients are pushed to, half poll.
    let mut sinks = HashMap::new();
    for to in 0..RECIPIENTS {
        let mut body = agent(&format!("r{to}"));
        if to % 2 == 0 {
            let sink = Sink::start(vec![]).await;
            body["endpoint"] = json!(sink.url);
            sinks.insert(to, sink);
        }
        world.dan.register(&body).await.unwrap();
    }
    let senders = Senders::start(&world.dan, 16, |sender, n| {
        message("ws", &format!("r{}", (sender + n) % RECIPIENTS), "x")
    });
    for round in 0..=rounds {
        if round > 0 {
            coordinator.restart().await;
        }
        let before = senders.count();
        until("more to be accepted", async || senders.count() >= before + 100).await;
    }
    let accepted = senders.stop().await;
    for to in 0..RECIPIENTS {
        let wanted = accepted.iter().filter(|sent| sent.to.as_str() == format!("r{to}"));
        let wanted: HashSet<_> = wanted.map(|sent| sent.id.to_string()).collect();
        assert!(!wanted.is_empty());
        let arrived = match sinks.get(&to) {
            Some(sink) => all_of(sink, &wanted).await,
            None => polled(&world, to).await,
        };
        let first: Vec<_> = first_occurrences(&arrived);
        assert!(first.is_sorted(), "r{to}: out of order");
        let missing: Vec<_> = wanted.iter().filter(|id| !first.contains(id)).collect();
        assert!(missing.is_empty(), "r{to}: lost {missing:?}");
    }
}

/// What was pushed, once all that is wanted was.
async fn all_of(sink: &Sink, wanted: &HashSet<String>) -> Vec<String> {
    eventually("all pushes", || async {
        let ids: Vec<_> = sink.received().iter().map(e2e::Received::id).collect();
        let seen: HashSet<_> = ids.iter().cloned().collect();
        wanted.is_subset(&seen).then_some(ids)
    })
    .await
}

async fn polled(world: &World, to: usize) -> Vec<String> {
    let ids = world.dan.message_ids(&name(&format!("r{to}")), None).await.unwrap();
    ids.iter().map(ToString::to_string).collect()
}

/// At least once: a repeat has the same id and is skipped.
fn first_occurrences(ids: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.iter().filter(|id| seen.insert((*id).clone())).cloned().collect()
}

#[tokio::test]
async fn a_message_stored_before_a_kill_is_pushed_after_the_start_without_a_request() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let (world, sink, _) = pushed(&coordinator, vec![Answer::Hang]).await;
    let id = send(&world, "x").await.id.to_string();
    sink.wait_for(1).await;
    coordinator.restart().await;
    let pushes = sink.wait_for(2).await;
    assert_eq!((pushes[0].id(), pushes[1].id()), (id.clone(), id.clone()));
    status_is(&world, &id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn a_start_without_a_master_key_does_not_use_up_an_alarm() {
    let (mut coordinator, world) = Coordinator::own().await;
    agents(&world).await;
    let body = json!({"from": "ws", "to": "queue", "body": "x", "ttl_seconds": 8});
    let id = world.dan.send(&body, None).await.unwrap().id.to_string();
    coordinator.options.master_key = None;
    coordinator.restart().await;
    until("the alarm that fails", async || coordinator.log().contains("MASTER_KEY")).await;
    coordinator.options.master_key = Some(e2e::MASTER_KEY);
    coordinator.restart().await;
    // No request wakes the mailbox of queue: its alarm sends the notice.
    assert!(notice(&world).await.body.contains(&id));
}

/// Answers one request a connection, and closes it 4.5 s later, as proxies do.
fn impatient() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let read = stream.read(&mut [0; 8192]).unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                assert!(read > 0 && stream.write_all(answer).is_ok());
                thread::sleep(Duration::from_millis(4500));
            });
        }
    });
    port
}

#[tokio::test]
async fn a_client_that_was_stopped_does_not_use_a_connection_that_was_closed_meanwhile() {
    let client = Client::new(&format!("http://127.0.0.1:{}/v1", impatient()), "mcu_x");
    let post = || client.call(Method::POST, "/tokens", &[], None);
    post().await.unwrap();
    // A stopped process (Ctrl-Z, a busy machine): nothing of this runtime runs, so that
    // it does not notice the end of the connection.
    thread::sleep(Duration::from_secs(5));
    post().await.unwrap();
}
