//! Endpoints: set, tested, replaced, cleared.

use super::{pushed_to, send, until, with_endpoint};
use crate::{agent, code, fields};
use e2e::{Answer, Sink, World, eventually, shared};
use multiclaude_hybrid_protocol::ErrorCode::NoEndpoint;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::MessageStatus;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_endpoint_that_was_replaced_has_no_say_any_longer() {
    let world = shared().await.world().await;
    let (old, new) = (Sink::start(vec![Answer::Late(400)]).await, Sink::start(vec![]).await);
    pushed_to(&world, &old.url).await;
    let id = send(&world, "x").await;
    old.wait_for(1, 10).await;
    world.ann.update("queue", &json!({"endpoint": new.url})).await.unwrap();
    until(&world, &id, MessageStatus::Delivered, 20).await;
    assert_eq!(new.texts(), ["x"]);
}

#[tokio::test]
async fn setting_the_endpoint_registering_again_or_a_good_test_tries_at_once() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let body = with_endpoint("queue", &sink.url);
    pushed_to(&world, &sink.url).await;
    let fail = || sink.answer_next([Answer::status(500)]);
    let again: [Box<dyn AsyncTry>; 3] = [
        Box::new(Register(body.clone())),
        Box::new(SetEndpoint(sink.url.clone())),
        Box::new(TestEndpoint),
    ];
    for attempt in again {
        fail();
        let id = send(&world, "x").await;
        eventually("a failed attempt", 10, || async {
            world.dan.receipt(&id).await.ok().filter(|receipt| receipt.attempts == 1)
        })
        .await;
        attempt.run(&world).await;
        // Well before the five seconds (minus a fifth) of the first step.
        until(&world, &id, MessageStatus::Delivered, 3).await;
    }
}

/// A way to make the coordinator try at once.
trait AsyncTry {
    fn run<'a>(&'a self, world: &'a World) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
}

struct Register(Value);

struct SetEndpoint(String);

struct TestEndpoint;

impl AsyncTry for Register {
    fn run<'a>(&'a self, world: &'a World) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async { drop(world.ann.register(&self.0).await.unwrap()) })
    }
}

impl AsyncTry for SetEndpoint {
    fn run<'a>(&'a self, world: &'a World) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async {
            drop(world.ann.update("queue", &json!({"endpoint": self.0})).await.unwrap())
        })
    }
}

impl AsyncTry for TestEndpoint {
    fn run<'a>(&'a self, world: &'a World) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async {
            let report = world.ann.test_endpoint("queue").await.unwrap();
            assert_eq!(report["ok"], true);
        })
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
        "not a url",
        "https://a..example/",
        "https://-a.example/",
        "https://a-.example/",
        "https://a*.example/",
        &format!("https://{}.example/", "a".repeat(64)),
        "https://a.example:0/",
        "http://127.0.0.1:0/",
        "https://a.example/\u{0}",
        "\u{0}https://a.example/",
        " https://a.example/",
        "https://a.exa\tmple/",
        "https:\\\\a.example/",
        "https:/a.example/",
        "https://@a.example/",
        &format!("https://a.example/{}", "ä".repeat(1000)),
        &format!("http://127.0.0.1:{}/v1", shared().await.port()),
    ] {
        assert_eq!(
            fields(world.dan.register(&with_endpoint("w", url)).await),
            ["endpoint"],
            "{url:?}"
        );
        let wish = json!({"spawn_endpoint": url});
        let config = world.ci.call(Method::PUT, "/config", &[], Some(&wish)).await;
        assert_eq!(fields(config), ["spawn_endpoint"], "{url:?}");
    }
}

#[tokio::test]
async fn an_endpoint_test_tells_status_duration_and_error_class_and_no_bytes() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![Answer::Status(503, vec![], "internal detail".into())]).await;
    let secret = pushed_to(&world, &sink.url).await.webhook_secret.unwrap();
    let bad = world.ann.test_endpoint("queue").await.unwrap();
    assert_eq!(
        (&bad["ok"], &bad["status"], &bad["error"]),
        (&json!(false), &json!(503), &json!("http_503"))
    );
    assert!(!bad.to_string().contains("internal detail"));
    let good = world.ann.test_endpoint("queue").await.unwrap();
    assert!(good["ok"] == true && good["duration_ms"].is_number() && good["error"].is_null());
    let push = &sink.received()[1];
    assert!(push.verify(&secret));
    assert_eq!(push.json()["type"], "endpoint.test");
}

#[tokio::test]
async fn without_an_endpoint_there_is_nothing_to_test_or_rotate() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    assert_eq!(code(world.dan.test_endpoint("w").await), NoEndpoint);
    assert_eq!(code(world.dan.rotate_secret("w").await), NoEndpoint);
}

#[tokio::test]
async fn an_endpoint_that_is_cleared_gets_nothing_more() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    pushed_to(&world, &sink.url).await;
    let cleared = world.ann.update("queue", &json!({"endpoint": ""})).await.unwrap();
    assert_eq!((cleared.delivery, cleared.endpoint.as_str()), (Delivery::Polling, ""));
    send(&world, "x").await;
    assert_eq!(world.ann.messages("queue", "wait=1").await.unwrap().len(), 1);
    assert_eq!(sink.received().len(), 0);
}
