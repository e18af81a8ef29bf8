//! Endpoints: set, tested, replaced, cleared.

use super::{attempted, send};
use crate::{code, fields, name, pushed, status_is, with_endpoint};
use e2e::{Answer, Sink, shared};
use multiclaude_hybrid_protocol::ErrorCode::NoEndpoint;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::agent::EndpointTest;
use multiclaude_hybrid_protocol::message::MessageStatus;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn an_endpoint_that_was_replaced_has_no_say_any_longer() {
    let release = Arc::new(Notify::new());
    let answer = Answer::Held(400, Arc::clone(&release));
    let (world, old, _) = pushed(shared().await, vec![answer]).await;
    let new = Sink::start(vec![]).await;
    let id = send(&world, "x").await;
    old.wait_for(1).await;
    world.ann.update("queue", &json!({"endpoint": new.url})).await.unwrap();
    release.notify_one();
    status_is(&world, &id, MessageStatus::Delivered).await;
    assert_eq!(new.texts(), ["x"]);
}

#[tokio::test]
async fn setting_the_endpoint_registering_again_or_a_good_test_tries_at_once() {
    let (world, sink, _) = pushed(shared().await, vec![]).await;
    // Without one of these, the next try would come in an hour.
    let later = Answer::Status(503, vec![("retry-after", "3600".into())], String::new());
    for way in ["set", "register", "test"] {
        sink.answer_next([later.clone()]);
        let id = send(&world, "x").await;
        attempted(&world, &id).await;
        match way {
            "set" => {
                world.ann.update("queue", &json!({"endpoint": sink.url})).await.unwrap();
            }
            "register" => {
                world.ann.register(&with_endpoint("queue", &sink.url)).await.unwrap();
            }
            _ => assert!(world.ann.test_endpoint(&name("queue")).await.unwrap().ok),
        }
        status_is(&world, &id, MessageStatus::Delivered).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_public_is_refused() {
    let world = shared().await.world().await;
    for url in [
        "https://10.0.0.1/",
        "https://[fe80::1]/",
        "https://box/",
        "https://a.internal/",
        "https://a.local/",
        "https://x.home.arpa/",
        "https://example.com./",
        "https://u:p@example.com/",
        "ftp://example.com/",
        "https://a..example/",
        "https://-a.example/",
        "https://a-.example/",
        "https://a*.example/",
        &format!("https://{}.example/", "a".repeat(64)),
        "https://a.example:0/",
        "http://127.0.0.1:0/",
        "https://a.exa\tmple/",
        &format!("https://a.example/{}", "ä".repeat(1000)),
        &format!("http://127.0.0.1:{}/v1", shared().await.port),
    ] {
        assert_eq!(
            fields(world.dan.register(&with_endpoint("w", url)).await),
            ["endpoint"],
            "{url:?}"
        );
        let wish = json!({"spawn_endpoint": url});
        assert_eq!(fields(world.ci.configure(&wish).await), ["spawn_endpoint"], "{url:?}");
    }
}

#[tokio::test]
async fn an_endpoint_test_shows_status_duration_and_error_class_and_no_bytes() {
    let failing = Answer::Status(503, vec![], "internal detail".into());
    let (world, sink, secret) = pushed(shared().await, vec![failing]).await;
    let path = "/agents/queue/endpoint/test";
    let reply = world.ann.call(Method::POST, path, &[], None).await.unwrap();
    assert!(!reply.text.contains("internal detail"), "{}", reply.text);
    let bad: EndpointTest = reply.json().unwrap();
    assert_eq!((bad.ok, bad.status, bad.error.as_deref()), (false, Some(503), Some("http_503")));
    let good = world.ann.test_endpoint(&name("queue")).await.unwrap();
    assert!(good.ok && good.error.is_none(), "{good:?}");
    let push = &sink.received()[1];
    assert!(push.verify(&secret));
    assert_eq!(push.json()["type"], "endpoint.test");
}

#[tokio::test]
async fn an_endpoint_that_is_cleared_gets_nothing_more_not_even_a_test() {
    let (world, sink, _) = pushed(shared().await, vec![]).await;
    let cleared = world.ann.update("queue", &json!({"endpoint": ""})).await.unwrap();
    assert_eq!((cleared.delivery, cleared.endpoint.as_str()), (Delivery::Polling, ""));
    assert_eq!(code(world.ann.test_endpoint(&name("queue")).await), NoEndpoint);
    assert_eq!(code(world.ann.rotate_secret(&name("queue")).await), NoEndpoint);
    let id = send(&world, "x").await;
    let other = Sink::start(vec![]).await;
    world.ann.update("queue", &json!({"endpoint": other.url})).await.unwrap();
    status_is(&world, &id, MessageStatus::Delivered).await;
    assert_eq!((sink.texts().len(), other.texts()), (0, vec!["x".to_owned()]));
}
