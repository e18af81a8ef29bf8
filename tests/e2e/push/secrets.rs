//! The secrets that pushes are signed with.

use super::{attempted, send};
use crate::{agent, fields, message, name, pushed, status_is, with_endpoint};
use e2e::{Coordinator, Options, scaled, shared, until};
use multiclaude_hybrid_protocol::message::MessageStatus;
use serde_json::json;

#[tokio::test]
async fn a_secret_whose_key_is_gone_is_shown_as_such_and_can_be_replaced() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let (world, sink, _) = pushed(&coordinator, vec![]).await;
    coordinator.kill();
    coordinator.options.master_key = Some("k2:HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo=");
    coordinator.launch().await;
    let id = send(&world, "x").await;
    let receipt = attempted(&world, &id).await;
    assert_eq!(receipt.last_error.as_deref(), Some("secret_unreadable"));
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    world.ann.update("queue", &json!({"webhook_secret": secret})).await.unwrap();
    status_is(&world, &id, MessageStatus::Delivered).await;
    assert!(sink.received()[0].verify(secret));
}

#[tokio::test]
async fn both_keys_of_a_rotation_of_the_master_key_open_what_they_sealed() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let (world, sink, old) = pushed(&coordinator, vec![]).await;
    coordinator.kill();
    coordinator.options.master_key = Some(
        "k2:HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo=,k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    );
    coordinator.launch().await;
    let new = world.ann.rotate_secret(&name("queue")).await.unwrap();
    send(&world, "x").await;
    let push = &sink.wait_for(1).await[0];
    assert!(push.verify(&old) && push.verify(&new));
}

#[tokio::test]
async fn a_generated_secret_is_shown_once_and_a_given_one_is_not_repeated() {
    let (world, sink, generated) = pushed(shared().await, vec![]).await;
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert!(generated.starts_with("whsec_"));
    let again = world.ann.register(&with_endpoint("queue", &sink.url)).await.unwrap();
    assert_eq!(again.webhook_secret, None);
    assert_eq!(world.ann.agent("queue").await.unwrap().webhook_secret, None);
    let mut body = with_endpoint("other", &sink.url);
    body["webhook_secret"] = given.into();
    assert_eq!(world.ann.register(&body).await.unwrap().webhook_secret, None);
    world.dan.send(&message("ws", "other", "x"), None).await.unwrap();
    assert!(sink.wait_for(1).await[0].verify(given));
    body["webhook_secret"] = "whsec_short".into();
    assert_eq!(fields(world.ann.register(&body).await), ["webhook_secret"]);
    // Without an endpoint it would be lost.
    let mut polls = agent("polls");
    polls["webhook_secret"] = given.into();
    assert_eq!(fields(world.ann.register(&polls).await), ["webhook_secret"]);
}

#[tokio::test]
async fn a_replaced_secret_goes_on_signing_beside_the_new_one() {
    // The day of overlap is 21.6 s.
    let (world, sink, old) = pushed(scaled(4_000).await, vec![]).await;
    let new = world.ann.rotate_secret(&name("queue")).await.unwrap();
    assert_ne!(old, new);
    send(&world, "x").await;
    let push = &sink.wait_for(1).await[0];
    assert_eq!(push.header("webhook-signature").split(' ').count(), 2);
    assert!(push.verify(&old) && push.verify(&new));
    until("the old secret's end", async || {
        world.ann.test_endpoint(&name("queue")).await.unwrap();
        let push = sink.received().pop().unwrap();
        assert!(push.verify(&new));
        !push.verify(&old)
    })
    .await;
}
