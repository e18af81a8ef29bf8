//! Mailboxes whose tables an older version made.

use super::locked::{mailbox, sql};
use crate::callbacks::{ids, serving, spawn};
use crate::{message, status_is, with_endpoint};
use e2e::{Answer, Coordinator, Options, Sink, until};
use multiclaude_hybrid_protocol::message::MessageStatus;
use serde_json::json;

#[tokio::test]
async fn requests_in_a_mailbox_of_an_older_version_are_pushed_under_their_ids() {
    let mut coordinator = Coordinator::start(Options { scale: 20, ..Options::default() }).await;
    let (world, sink, secret) = serving(&coordinator, vec![Answer::status(500)]).await;
    let old = spawn(&world.dan, json!({"task": "old"})).await;
    sink.wait_for(1).await;
    coordinator.kill();
    // That version had no such columns and fields: the id began the message.
    sql(
        &mailbox(&coordinator),
        "UPDATE messages SET head = '{\"webhook_id\":\"' || push_id || '\",' || substr(head, 2); \
         ALTER TABLE messages DROP COLUMN push_id; ALTER TABLE messages DROP COLUMN seen_at; \
         UPDATE config SET data = json_remove(data, '$.kind')",
    );
    coordinator.launch().await;
    let new = spawn(&world.dan, json!({"task": "new"})).await;
    let (old, new) = (old.id.to_string(), new.id.to_string());
    until("both pushes", async || ids(&sink).contains(&new)).await;
    let pushes = sink.received();
    let of = |id: &str| pushes.iter().rfind(|push| push.id() == id).unwrap();
    for (id, task) in [(&old, "old"), (&new, "new")] {
        assert!(of(id).verify(&secret));
        let payload = of(id).json();
        assert_eq!(payload["type"], "worker.spawn_requested");
        assert_eq!((&payload["data"]["id"], &payload["data"]["task"]), (&json!(id), &json!(task)));
        assert!(payload["data"].get("webhook_id").is_none());
    }
}

#[tokio::test]
async fn messages_in_a_mailbox_of_an_older_version_are_read_pushed_and_seen() {
    let mut coordinator = Coordinator::start(Options { scale: 20, ..Options::default() }).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    let queue = with_endpoint("queue", &sink.url);
    let secret = world.ann.register(&queue).await.unwrap().webhook_secret.unwrap();
    let first = world.dan.send(&message("user:dan", "queue", "first"), None).await.unwrap();
    status_is(&world, &first.id, MessageStatus::Delivered).await;
    let acked = world.ann.report(&first.id, "acked").await.unwrap();
    sink.answer_next([Answer::status(500)]);
    let old = message("user:dan", "queue", "old");
    let sent = world.dan.send(&old, Some("key")).await.unwrap();
    sink.wait_for(2).await;
    coordinator.kill();
    sql(
        &mailbox(&coordinator),
        "ALTER TABLE messages DROP COLUMN push_id; ALTER TABLE messages DROP COLUMN seen_at; \
         UPDATE config SET data = json_remove(data, '$.kind')",
    );
    coordinator.launch().await;
    assert_eq!(world.dan.receipt(&acked.id).await.unwrap(), acked);
    assert_eq!(world.dan.send(&old, Some("key")).await.unwrap().id, sent.id);
    let push = &sink.wait_for(3).await[2];
    assert!(push.verify(&secret));
    assert_eq!(push.id(), sent.id.to_string());
    assert_eq!(push.json()["data"]["body"], "old");
    assert_eq!(world.ann.messages("queue", "").await.unwrap().len(), 2);
    status_is(&world, &sent.id, MessageStatus::Delivered).await;
    let seen = world.ann.patch_message(&sent.id, &json!({"seen": true})).await.unwrap();
    assert!(seen.seen_at.is_some());
    let new = world.dan.send(&message("user:dan", "queue", "new"), None).await.unwrap();
    assert!(new.id.to_string() > sent.id.to_string());
    // Once is enough: the next load finds the columns.
    coordinator.restart().await;
    assert_eq!(world.dan.receipt(&sent.id).await.unwrap(), seen);
}
