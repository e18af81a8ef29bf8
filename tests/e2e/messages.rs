//! Messages: states, order, dedup, limits, polling.

use crate::{agent, code, fields, message, raw};
use e2e::{World, shared};
use multiclaude_hybrid_protocol::ErrorCode::{
    AgentNotFound, AgentSuperseded, BodyTooLarge, Forbidden, IdempotencyMismatch, InvalidParameter,
    InvalidTransition, MailboxFull, MessageNotFound, ValidationFailed,
};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

async fn two_agents() -> World {
    let world = shared().await.world().await;
    world.dan.register(&agent("ws")).await.unwrap();
    world.ann.register(&agent("queue")).await.unwrap();
    world
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.body.as_str())
        .collect()
}

#[tokio::test]
async fn a_message_goes_from_pending_over_delivered_to_acked_and_the_sender_sees_it() {
    let world = two_agents().await;
    let text = "line one\nline two \"quoted\" \\ \u{1F980} \u{0}";
    let sent = world
        .dan
        .send(&message("ws", "queue", text), None)
        .await
        .unwrap();
    assert_eq!(
        (sent.status, sent.body.as_str()),
        (MessageStatus::Pending, text)
    );
    let id = sent.id.to_string();
    let polled = world.ann.messages("queue", "").await.unwrap();
    assert_eq!(polled, [sent]);
    let delivered = world.ann.report(&id, "delivered", None).await.unwrap();
    assert_eq!(delivered.status, MessageStatus::Delivered);
    let acked = world.ann.report(&id, "acked", None).await.unwrap();
    assert!(acked.acked_at.is_some() && acked.delivered_at == delivered.delivered_at);
    assert_eq!(world.dan.receipt(&id).await.unwrap(), acked);
}

#[tokio::test]
async fn repeating_a_state_is_no_change_and_going_back_is_refused() {
    let world = two_agents().await;
    let id = world
        .dan
        .send(&message("ws", "queue", "x"), None)
        .await
        .unwrap()
        .id
        .to_string();
    let acked = world.ann.report(&id, "acked", None).await.unwrap();
    assert!(acked.delivered_at.is_some());
    assert_eq!(world.ann.report(&id, "acked", None).await.unwrap(), acked);
    assert_eq!(
        code(world.ann.report(&id, "delivered", None).await),
        InvalidTransition
    );
    assert_eq!(
        code(world.ann.report(&id, "pending", None).await),
        InvalidTransition
    );
    assert_eq!(
        code(world.ann.report(&id, "failed", None).await),
        ValidationFailed
    );
}

#[tokio::test]
async fn a_mailbox_is_first_in_first_out_and_ids_order_it() {
    let world = two_agents().await;
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(
            world
                .dan
                .send(&message("ws", "queue", &n.to_string()), None)
                .await
                .unwrap()
                .id
                .to_string(),
        );
    }
    assert!(ids.is_sorted());
    let polled = world.ann.messages("queue", "").await.unwrap();
    assert_eq!(
        polled.iter().map(|m| m.id.to_string()).collect::<Vec<_>>(),
        ids
    );
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let world = two_agents().await;
    world
        .dan
        .send(&message("ws", "queue", "x"), None)
        .await
        .unwrap();
    let first = world.ann.messages("queue", "").await.unwrap();
    assert_eq!(
        world.ann.messages("queue", "status=pending").await.unwrap(),
        first
    );
}

#[tokio::test]
async fn a_list_is_paged_and_filtered_by_status() {
    let world = two_agents().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(
            world
                .dan
                .send(&message("ws", "queue", &n.to_string()), None)
                .await
                .unwrap()
                .id
                .to_string(),
        );
    }
    world.ann.report(&ids[1], "acked", None).await.unwrap();
    world.ann.report(&ids[4], "delivered", None).await.unwrap();
    let mut path = "/agents/queue/messages?status=pending&limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = world.ann.call(Method::GET, &path, &[], None).await.unwrap();
        let messages: Vec<Message> = page.json().unwrap();
        assert!(messages.len() <= 2);
        seen.extend(messages.into_iter().map(|m| m.body));
        let Some(link) = page.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        let url = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
        path = url.split_once(&world.repo).unwrap().1.to_owned();
    }
    assert_eq!(seen, ["0", "2", "3", "5", "6"]);
    assert_eq!(
        bodies(&world.ann.messages("queue", "status=acked").await.unwrap()),
        ["1"]
    );
    assert_eq!(
        bodies(
            &world
                .ann
                .messages("queue", "status=delivered")
                .await
                .unwrap()
        ),
        ["4"]
    );
    assert_eq!(world.ann.messages("queue", "").await.unwrap().len(), 7);
}

#[tokio::test]
async fn a_page_ends_early_when_its_messages_are_large() {
    let world = two_agents().await;
    let large = "\u{1}".repeat(60_000);
    for n in 0..12 {
        world
            .dan
            .send(&message("ws", "queue", &format!("{n}{large}")), None)
            .await
            .unwrap();
    }
    let page = world
        .ann
        .call(Method::GET, "/agents/queue/messages?limit=500", &[], None)
        .await
        .unwrap();
    let first: Vec<Message> = page.json().unwrap();
    assert!((1..12).contains(&first.len()), "{}", first.len());
    let after = first.last().unwrap().id.to_string();
    assert!(page.headers["link"].to_str().unwrap().contains(&after));
    let rest = world
        .ann
        .messages("queue", &format!("limit=500&after={after}"))
        .await
        .unwrap();
    assert!(rest[0].body.starts_with(&first.len().to_string()));
}

#[tokio::test]
async fn bad_parameters_of_a_list_are_named() {
    let world = two_agents().await;
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "wait=26",
        "wait=-1",
        "status=new",
        "after=5",
    ] {
        let refused = world.ann.messages("queue", query).await;
        let name = query.split('=').next().unwrap();
        assert!(
            refused.as_ref().unwrap_err().to_string().contains(name),
            "{refused:?}"
        );
        assert_eq!(code(refused), InvalidParameter, "{query}");
    }
    assert!(
        world
            .ann
            .messages("queue", "limit=500&wait=0&after=")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_held_poll_answers_as_soon_as_a_message_arrives() {
    let world = two_agents().await;
    let poller = world.ann.clone();
    let held = tokio::spawn(async move {
        let started = Instant::now();
        (
            poller
                .messages("queue", "status=pending&wait=20")
                .await
                .unwrap(),
            started.elapsed(),
        )
    });
    // Something that does not pass the filter does not end it.
    let id = world
        .dan
        .send(&message("ws", "ws", "other mailbox"), None)
        .await
        .unwrap()
        .id
        .to_string();
    world.dan.report(&id, "acked", None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!held.is_finished());
    world
        .dan
        .send(&message("ws", "queue", "now"), None)
        .await
        .unwrap();
    let (messages, took) = held.await.unwrap();
    assert_eq!(bodies(&messages), ["now"]);
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn a_held_poll_ends_empty_when_its_time_is_over() {
    let world = two_agents().await;
    let started = Instant::now();
    assert_eq!(world.ann.messages("queue", "wait=1").await.unwrap(), []);
    let preferred = [("prefer", "respond-async, wait=1")];
    let answer = world
        .ann
        .call(Method::GET, "/agents/queue/messages", &preferred, None)
        .await
        .unwrap();
    assert_eq!(answer.text, "[]");
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_held_poll_ends_when_its_incarnation_ends() {
    let world = two_agents().await;
    let poller = world.ann.clone();
    let held = tokio::spawn(async move { poller.messages("queue", "wait=20").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.ann.deregister("queue").await.unwrap();
    assert_eq!(code(held.await.unwrap()), AgentNotFound);
}

#[tokio::test]
async fn a_held_poll_does_not_cross_into_another_incarnation() {
    let world = two_agents().await;
    let poller = world.ci.clone();
    let held = tokio::spawn(async move { poller.messages("queue", "wait=20").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    world
        .ann
        .update("queue", &json!({"status": "stopped"}))
        .await
        .unwrap();
    let take = json!({"name": "queue", "type": "worker", "take_over": true});
    world.dan.register(&take).await.unwrap();
    world
        .dan
        .send(&message("ws", "queue", "for the new one"), None)
        .await
        .unwrap();
    assert_eq!(code(held.await.unwrap()), AgentSuperseded);
}

#[tokio::test]
async fn the_same_key_and_content_answer_the_first_message() {
    let world = two_agents().await;
    let body = message("ws", "queue", "once");
    let headers = [("idempotency-key", "k-1")];
    let first = world
        .dan
        .call(Method::POST, "/messages", &headers, Some(&body))
        .await
        .unwrap();
    let again = world
        .dan
        .call(Method::POST, "/messages", &headers, Some(&body))
        .await
        .unwrap();
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    let (first, again): (Message, Message) = (first.json().unwrap(), again.json().unwrap());
    assert_eq!(first, again);
    world
        .ann
        .report(&first.id.to_string(), "acked", None)
        .await
        .unwrap();
    assert_eq!(
        world.dan.send(&body, Some("k-1")).await.unwrap().status,
        MessageStatus::Acked
    );
    assert_eq!(world.ann.messages("queue", "").await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_key_for_other_content_is_a_mismatch() {
    let world = two_agents().await;
    world
        .dan
        .send(&message("ws", "queue", "one"), Some("k"))
        .await
        .unwrap();
    assert_eq!(
        code(
            world
                .dan
                .send(&message("ws", "queue", "two"), Some("k"))
                .await
        ),
        IdempotencyMismatch
    );
    let other = json!({"from": "ws", "to": "queue", "body": "one", "ttl_seconds": 60});
    assert_eq!(
        code(world.dan.send(&other, Some("k")).await),
        IdempotencyMismatch
    );
}

#[tokio::test]
async fn a_key_is_scoped_to_caller_sender_and_recipient() {
    let world = two_agents().await;
    world.dan.register(&agent("ws2")).await.unwrap();
    let key = Some("same");
    let mut ids = vec![
        world
            .dan
            .send(&message("ws", "queue", "a"), key)
            .await
            .unwrap()
            .id,
    ];
    ids.push(
        world
            .dan
            .send(&message("ws2", "queue", "b"), key)
            .await
            .unwrap()
            .id,
    );
    ids.push(
        world
            .dan
            .send(&message("ws", "ws2", "c"), key)
            .await
            .unwrap()
            .id,
    );
    ids.push(
        world
            .ci
            .send(&message("ws", "queue", "d"), key)
            .await
            .unwrap()
            .id,
    );
    ids.dedup();
    assert_eq!(ids.len(), 4);
    for bad in ["", "with space", &"k".repeat(256)] {
        let refused = world
            .dan
            .send(&message("ws", "queue", "x"), Some(bad))
            .await;
        assert_eq!(code(refused), InvalidParameter, "{bad}");
    }
}

#[tokio::test]
async fn fifty_repeats_at_once_make_one_message() {
    let world = two_agents().await;
    let sends = (0..50).map(|_| {
        let dan = world.dan.clone();
        tokio::spawn(async move {
            dan.send(&message("ws", "queue", "x"), Some("k"))
                .await
                .unwrap()
                .id
        })
    });
    let mut ids = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        ids.push(send.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_body_has_at_most_64_kib_and_a_request_is_bounded() {
    let world = two_agents().await;
    let fits = "é".repeat(32 * 1024);
    assert_eq!(
        world
            .dan
            .send(&message("ws", "queue", &fits), None)
            .await
            .unwrap()
            .body,
        fits
    );
    let refused = world
        .dan
        .send(&message("ws", "queue", &"x".repeat(65_537)), None)
        .await;
    assert_eq!(code(refused), BodyTooLarge);
    let url = format!("{}/repos/{}/messages", world.url, world.repo);
    let endless = "x".repeat(2 * 1024 * 1024);
    let (status, _, body) = raw(reqwest::Client::new()
        .post(&url)
        .bearer_auth(&world.tokens[0])
        .body(endless))
    .await;
    assert_eq!((status, &body["code"]), (413, &json!("body_too_large")));
}

#[tokio::test]
async fn optional_fields_are_kept() {
    let world = two_agents().await;
    let first = world
        .dan
        .send(&message("ws", "queue", "q"), None)
        .await
        .unwrap();
    let reply = json!({
        "from": "queue", "to": "ws", "body": "a", "thread_id": "t1",
        "reply_to": first.id, "metadata": {"k": "v"}, "ttl_seconds": 60,
    });
    let sent = world.ann.send(&reply, None).await.unwrap();
    let got = &world.dan.messages("ws", "").await.unwrap()[0];
    assert_eq!(
        (got.thread_id.as_deref(), got.reply_to.as_ref()),
        (Some("t1"), Some(&first.id))
    );
    assert_eq!(got.metadata["k"], "v");
    assert_eq!(sent.expires_at.0 - sent.created_at.0, 60_000);
}

#[tokio::test]
async fn bad_fields_of_a_message_are_all_named() {
    let world = two_agents().await;
    let bad =
        json!({"from": "system", "to": "a.b", "thread_id": 5, "ttl_seconds": 0, "metadata": []});
    let mut named = fields(world.dan.send(&bad, None).await);
    named.sort();
    assert_eq!(
        named,
        ["body", "from", "metadata", "thread_id", "to", "ttl_seconds"]
    );
}

#[tokio::test]
async fn an_unknown_recipient_is_404_and_an_unknown_sender_403() {
    let world = two_agents().await;
    assert_eq!(
        code(world.dan.send(&message("ws", "nobody", "x"), None).await),
        AgentNotFound
    );
    assert_eq!(
        code(world.dan.send(&message("nobody", "queue", "x"), None).await),
        Forbidden
    );
    assert_eq!(
        code(world.ci.send(&message("nobody", "queue", "x"), None).await),
        Forbidden
    );
}

#[tokio::test]
async fn a_receipt_is_for_sender_and_recipient_only() {
    let world = two_agents().await;
    let token = json!({"kind": "user", "owner": "eve", "repos": [world.repo]});
    let token = world
        .admin
        .create_token(&token)
        .await
        .unwrap()
        .token
        .unwrap();
    let id = world
        .dan
        .send(&message("ws", "queue", "x"), None)
        .await
        .unwrap()
        .id
        .to_string();
    assert!(world.dan.receipt(&id).await.is_ok());
    assert!(world.ann.receipt(&id).await.is_ok());
    assert!(world.ci.receipt(&id).await.is_ok());
    assert_eq!(
        code(world.dan.with_token(&token).receipt(&id).await),
        Forbidden
    );
    let wrong = format!("{}00000000_queue", &id[..28]);
    assert_eq!(code(world.dan.receipt(&wrong).await), MessageNotFound);
}

#[tokio::test]
async fn ten_thousand_messages_may_wait_and_no_more() {
    let world = two_agents().await;
    let keyed = message("ws", "queue", "first");
    let first = world.dan.send(&keyed, Some("k")).await.unwrap();
    let sends = (0..16).map(|_| {
        let dan = world.dan.clone();
        tokio::spawn(async move {
            loop {
                if let Err(error) = dan.send(&message("ws", "queue", "x"), None).await {
                    return error;
                }
            }
        })
    });
    for send in sends.collect::<Vec<_>>() {
        assert_eq!(send.await.unwrap().code(), Some(MailboxFull));
    }
    assert_eq!(
        world.ann.agent("queue").await.unwrap().waiting,
        Some(10_000)
    );
    // A repeat is answered before the limit is looked at.
    let again = world.dan.send(&keyed, Some("k")).await.unwrap();
    assert_eq!(again.id, first.id);
    let oldest = world
        .ann
        .messages("queue", "status=pending&limit=1")
        .await
        .unwrap();
    world
        .ann
        .report(&oldest[0].id.to_string(), "acked", None)
        .await
        .unwrap();
    assert!(
        world
            .dan
            .send(&message("ws", "queue", "room again"), None)
            .await
            .is_ok()
    );
}
