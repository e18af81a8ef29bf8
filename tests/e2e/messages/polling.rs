//! Lists and held polls.

use super::bodies;
use crate::{code, message, send_many, two_agents};
use e2e::{Client, Proxy, World, shared, until};
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_protocol::ErrorCode::{AgentNotFound, AgentSuperseded, InvalidParameter};
use multiclaude_hybrid_protocol::message::Message;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_list_is_paged_and_filtered_by_status() {
    let world = two_agents().await;
    let ids = send_many(&world, 7).await;
    assert!(ids.is_sorted());
    world.ann.report(&ids[1], "acked").await.unwrap();
    world.ann.report(&ids[4], "delivered").await.unwrap();
    let mut query = Some("status=pending&limit=2".to_owned());
    let mut seen = Vec::new();
    while let Some(this) = query {
        let path = format!("/agents/queue/messages?{this}");
        let page = world.ann.call(Method::GET, &path, &[], None).await.unwrap();
        let messages: Vec<Message> = page.json().unwrap();
        assert!(messages.len() <= 2);
        seen.extend(messages.into_iter().map(|m| m.body));
        if let Some(link) = page.headers.get("link") {
            let list = format!("{}/agents/queue/messages?", world.repo);
            assert!(link.to_str().unwrap().contains(&list), "{link:?}");
        }
        query = page.next_query().map(str::to_owned);
    }
    assert_eq!(seen, ["0", "2", "3", "5", "6"]);
    assert_eq!(bodies(&world.ann.messages("queue", "status=acked").await.unwrap()), ["1"]);
    assert_eq!(bodies(&world.ann.messages("queue", "status=delivered").await.unwrap()), ["4"]);
    assert_eq!(world.ann.messages("queue", "").await.unwrap().len(), 7);
}

#[tokio::test]
async fn a_page_ends_early_when_its_messages_are_large() {
    let world = two_agents().await;
    let large = "\u{1}".repeat(60_000);
    for n in 0..12 {
        world.dan.send(&message("ws", "queue", &format!("{n}{large}")), None).await.unwrap();
    }
    let page =
        world.ann.call(Method::GET, "/agents/queue/messages?limit=500", &[], None).await.unwrap();
    let first: Vec<Message> = page.json().unwrap();
    assert!((1..12).contains(&first.len()), "{}", first.len());
    let after = first.last().unwrap().id.to_string();
    assert!(page.headers["link"].to_str().unwrap().contains(&after));
    let rest = world.ann.messages("queue", &format!("limit=500&after={after}")).await.unwrap();
    assert!(rest[0].body.starts_with(&first.len().to_string()));
}

#[tokio::test]
async fn bad_parameters_of_a_list_are_named() {
    let world = two_agents().await;
    for query in ["limit=0", "limit=501", "limit=x", "wait=26", "wait=-1", "status=new", "after=5"]
    {
        let refused = world.ann.messages("queue", query).await;
        let name = query.split('=').next().unwrap();
        assert!(refused.as_ref().unwrap_err().to_string().contains(name), "{refused:?}");
        assert_eq!(code(refused), InvalidParameter, "{query}");
    }
    assert!(world.ann.messages("queue", "limit=500&wait=0&after=").await.is_ok());
}

/// A poll of `queue` that the coordinator holds.
async fn held(world: &World) -> JoinHandle<Result<Vec<Message>, Error>> {
    let proxy = Proxy::start(shared().await.port).await;
    let repo = Client::new(&proxy.url, &world.tokens[2]).repo(&world.repo);
    let poll = tokio::spawn(async move { repo.messages("queue", "status=pending&wait=20").await });
    until("the poll is passed on", async || proxy.requested("wait=20") > 0).await;
    // Answered after the poll has arrived at the mailbox.
    world.ann.agent("queue").await.unwrap();
    assert!(!poll.is_finished());
    poll
}

#[tokio::test]
async fn a_held_poll_answers_as_soon_as_a_message_arrives() {
    let world = two_agents().await;
    let started = Instant::now();
    let poll = held(&world).await;
    // A message that is not for it does not end it.
    let id = world.dan.send(&message("ws", "ws", "other mailbox"), None).await.unwrap().id;
    world.dan.report(&id.to_string(), "acked").await.unwrap();
    assert!(!poll.is_finished());
    world.dan.send(&message("ws", "queue", "now"), None).await.unwrap();
    assert_eq!(bodies(&poll.await.unwrap().unwrap()), ["now"]);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_held_poll_ends_empty_when_its_time_is_over() {
    let world = two_agents().await;
    let started = Instant::now();
    assert_eq!(world.ann.messages("queue", "wait=1").await.unwrap(), []);
    let preferred = [("prefer", "respond-async, wait=1")];
    let answer =
        world.ann.call(Method::GET, "/agents/queue/messages", &preferred, None).await.unwrap();
    assert_eq!(answer.text, "[]");
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_held_poll_ends_when_its_incarnation_ends() {
    let world = two_agents().await;
    let poll = held(&world).await;
    world.ann.deregister("queue").await.unwrap();
    assert_eq!(code(poll.await.unwrap()), AgentNotFound);
}

#[tokio::test]
async fn a_held_poll_does_not_cross_into_another_incarnation() {
    let world = two_agents().await;
    let poll = held(&world).await;
    world.ann.update("queue", &json!({"status": "stopped"})).await.unwrap();
    let take = json!({"name": "queue", "type": "worker", "take_over": true});
    world.dan.register(&take).await.unwrap();
    world.dan.send(&message("ws", "queue", "for the new one"), None).await.unwrap();
    assert_eq!(code(poll.await.unwrap()), AgentSuperseded);
}
