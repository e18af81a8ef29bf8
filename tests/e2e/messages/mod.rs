//! Messages: states, order, dedup, limits, polling.

mod keys;
mod polling;
mod seen;

use crate::{code, fields, http, message, raw, two_agents};
use multiclaude_hybrid_protocol::ErrorCode::{
    AgentNotFound, BodyTooLarge, Forbidden, MailboxFull, MessageNotFound,
};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use serde_json::json;

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[tokio::test]
async fn a_message_goes_from_pending_over_delivered_to_acked_and_the_sender_sees_it() {
    let world = two_agents().await;
    let text = "line one\nline two \"quoted\" \\ \u{1F980} \u{0}";
    let sent = world.dan.send(&message("ws", "queue", text), None).await.unwrap();
    assert_eq!((sent.status, sent.body.as_str()), (MessageStatus::Pending, text));
    let id = sent.id.to_string();
    for early in [json!({"status": "acked"}), json!({"seen": true})] {
        assert_eq!(code(world.dan.patch_message(&id, &early).await), Forbidden, "by the sender");
    }
    let polled = world.ann.messages("queue", "").await.unwrap();
    assert_eq!(polled, [sent]);
    let delivered = world.ann.report(&id, "delivered").await.unwrap();
    assert_eq!(delivered.status, MessageStatus::Delivered);
    let acked = world.ann.report(&id, "acked").await.unwrap();
    assert!(acked.acked_at.is_some() && acked.delivered_at == delivered.delivered_at);
    assert_eq!(world.dan.receipt(&id).await.unwrap(), acked);
}

#[tokio::test]
async fn a_body_has_at_most_64_kib_and_a_request_is_bounded() {
    let world = two_agents().await;
    let fits = "é".repeat(32 * 1024);
    assert_eq!(world.dan.send(&message("ws", "queue", &fits), None).await.unwrap().body, fits);
    let refused = world.dan.send(&message("ws", "queue", &"x".repeat(65_537)), None).await;
    assert_eq!(code(refused), BodyTooLarge);
    let url = format!("{}/repos/{}/messages", world.url, world.repo);
    let endless = "x".repeat(2 * 1024 * 1024);
    let (status, _, body) =
        raw(http().post(&url).bearer_auth(&world.tokens[0]).body(endless)).await;
    assert_eq!((status, &body["code"]), (413, &json!("body_too_large")));
}

#[tokio::test]
async fn optional_fields_are_kept() {
    let world = two_agents().await;
    let first = world.dan.send(&message("ws", "queue", "q"), None).await.unwrap();
    let reply = json!({
        "from": "queue", "to": "ws", "body": "a", "thread_id": "t1",
        "reply_to": first.id, "metadata": {"k": "v"}, "ttl_seconds": 60,
    });
    let sent = world.ann.send(&reply, None).await.unwrap();
    let got = &world.dan.messages("ws", "").await.unwrap()[0];
    assert_eq!((got.thread_id.as_deref(), got.reply_to.as_ref()), (Some("t1"), Some(&first.id)));
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
    assert_eq!(named, ["body", "from", "metadata", "thread_id", "to", "ttl_seconds"]);
}

#[tokio::test]
async fn an_unknown_recipient_is_404_and_an_unknown_sender_403() {
    let world = two_agents().await;
    assert_eq!(code(world.dan.send(&message("ws", "nobody", "x"), None).await), AgentNotFound);
    assert_eq!(code(world.dan.send(&message("nobody", "queue", "x"), None).await), Forbidden);
    assert_eq!(code(world.ci.send(&message("nobody", "queue", "x"), None).await), Forbidden);
}

#[tokio::test]
async fn a_receipt_is_for_sender_and_recipient_only() {
    let world = two_agents().await;
    let token = json!({"kind": "user", "owner": "eve", "repos": [world.repo]});
    let token = world.admin.create_token(&token).await.unwrap().token.unwrap();
    let id = world.dan.send(&message("ws", "queue", "x"), None).await.unwrap().id.to_string();
    assert!(world.dan.receipt(&id).await.is_ok());
    assert!(world.ann.receipt(&id).await.is_ok());
    assert!(world.ci.receipt(&id).await.is_ok());
    assert_eq!(code(world.dan.with_token(&token).receipt(&id).await), Forbidden);
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
    assert_eq!(world.ann.agent("queue").await.unwrap().waiting, Some(10_000));
    // A repeat is answered before the limit is looked at.
    let again = world.dan.send(&keyed, Some("k")).await.unwrap();
    assert_eq!(again.id, first.id);
    let oldest = world.ann.messages("queue", "status=pending&limit=1").await.unwrap();
    world.ann.report(&oldest[0].id, "acked").await.unwrap();
    assert!(world.dan.send(&message("ws", "queue", "room again"), None).await.is_ok());
}
