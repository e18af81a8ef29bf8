//! Push: webhooks, falling back to polling.

use crate::{agent, code, fields, message};
use e2e::{Answer, Coordinator, Options, Sink, World, eventually, refusing_port, shared};
use multiclaude_hybrid_protocol::ErrorCode::NoEndpoint;
use multiclaude_hybrid_protocol::agent::{Agent, Delivery};
use multiclaude_hybrid_protocol::message::{FailureReason, Message, MessageStatus};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn with_endpoint(name: &str, url: &str) -> Value {
    json!({"name": name, "type": "worker", "endpoint": url})
}

/// `ws` sends to `queue`, which is pushed to `url`.
async fn pushed_to(world: &World, url: &str) -> Agent {
    world.dan.register(&agent("ws")).await.unwrap();
    world
        .ann
        .register(&with_endpoint("queue", url))
        .await
        .unwrap()
}

async fn send(world: &World, body: &str) -> String {
    world
        .dan
        .send(&message("ws", "queue", body), None)
        .await
        .unwrap()
        .id
        .to_string()
}

async fn until(world: &World, id: &str, status: MessageStatus, seconds: u64) -> Message {
    eventually(
        &format!("{id} to be {}", status.as_str()),
        seconds,
        || async {
            world
                .dan
                .receipt(id)
                .await
                .ok()
                .filter(|receipt| receipt.status == status)
        },
    )
    .await
}

async fn scaled(scale: u32) -> Coordinator {
    Coordinator::start(Options {
        scale,
        ..Options::default()
    })
    .await
}

#[tokio::test]
async fn a_push_is_a_standard_webhook_that_the_published_library_verifies() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let secret = pushed_to(&world, &sink.url).await.webhook_secret.unwrap();
    let id = send(&world, "hello \u{1F44B}").await;
    let push = &sink.wait_for(1, 10).await[0];
    assert!(push.verify(&secret));
    assert!(!push.verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!(push.id(), id);
    assert_eq!(push.header("content-type"), "application/json");
    let payload = push.json();
    assert_eq!(payload["type"], "message.created");
    assert!(
        multiclaude_hybrid_protocol::Timestamp::parse(payload["timestamp"].as_str().unwrap())
            .is_some()
    );
    let inside: Message = serde_json::from_value(payload["data"].clone()).unwrap();
    assert_eq!(
        (inside.id.to_string(), inside.body.as_str()),
        (id.clone(), "hello \u{1F44B}")
    );
    let receipt = until(&world, &id, MessageStatus::Delivered, 10).await;
    assert_eq!((receipt.attempts, receipt.last_error), (1, None));
}

#[tokio::test]
async fn an_endpoint_may_acknowledge_at_once() {
    let world = shared().await.world().await;
    let acked = Answer::Status(
        200,
        vec![("content-type", "application/json; charset=utf-8".into())],
        r#"{"status":"acked","more":1}"#.into(),
    );
    let sink = Sink::start(vec![acked]).await;
    pushed_to(&world, &sink.url).await;
    let id = send(&world, "x").await;
    until(&world, &id, MessageStatus::Acked, 10).await;
    // Text that is not JSON says nothing.
    sink.answer_next([Answer::Status(200, vec![], r#"{"status":"acked"}"#.into())]);
    let id = send(&world, "y").await;
    until(&world, &id, MessageStatus::Delivered, 10).await;
}

#[tokio::test]
async fn four_statuses_reject_a_message_for_good_and_the_next_one_goes() {
    let world = shared().await.world().await;
    let sink = Sink::start([400, 413, 415, 422].map(Answer::status).to_vec()).await;
    pushed_to(&world, &sink.url).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(send(&world, &n.to_string()).await);
    }
    until(&world, &ids[4], MessageStatus::Delivered, 10).await;
    for (id, status) in ids.iter().zip([400, 413, 415, 422]) {
        let receipt = until(&world, id, MessageStatus::Failed, 10).await;
        assert_eq!(receipt.failure_reason, Some(FailureReason::Rejected));
        assert_eq!(receipt.last_error.unwrap(), format!("http_{status}"));
    }
    assert_eq!(sink.received().len(), 5);
    // Nothing fails silently: the sender is told, once each.
    let notices = eventually("four notices", 10, || async {
        Some(world.dan.messages("ws", "").await.unwrap()).filter(|notices| notices.len() >= 4)
    })
    .await;
    assert_eq!(notices.len(), 4);
    for (notice, id) in notices.iter().zip(&ids) {
        assert_eq!(
            (notice.from.to_string(), notice.from_owner.as_str()),
            ("system".into(), "system")
        );
        assert!(
            notice.body.contains(id) && notice.body.contains("rejected"),
            "{}",
            notice.body
        );
    }
}

#[tokio::test]
async fn a_gone_endpoint_rests_until_it_is_set_again() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![Answer::status(410)]).await;
    pushed_to(&world, &sink.url).await;
    let id = send(&world, "one").await;
    let found = eventually("polling", 10, || async {
        world
            .ann
            .agent("queue")
            .await
            .ok()
            .filter(|agent| agent.delivery == Delivery::Polling)
    })
    .await;
    assert!(found.delivery_reason.unwrap().contains("endpoint_gone"));
    send(&world, "two").await;
    assert_eq!(
        world
            .ann
            .messages("queue", "status=pending")
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(sink.received().len(), 1);
    world
        .ann
        .update("queue", &json!({"endpoint": sink.url}))
        .await
        .unwrap();
    until(&world, &id, MessageStatus::Delivered, 10).await;
    sink.wait_for(3, 10).await;
    assert_eq!(sink.texts(), ["one", "one", "two"]);
    eventually("webhook again", 10, || async {
        let found = world.ann.agent("queue").await.ok()?;
        (found.delivery == Delivery::Webhook && found.delivery_reason.is_none()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn twenty_times_500_then_200_is_delivered_at_last_and_delays_nobody_else() {
    let coordinator = scaled(1500).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![Answer::status(500); 20]).await;
    pushed_to(&world, &sink.url).await;
    let first = send(&world, "first").await;
    let second = send(&world, "second").await;
    let failing = eventually("the failing endpoint to be shown", 20, || async {
        world.ann.agent("queue").await.ok()?.delivery_reason
    })
    .await;
    assert!(failing.contains("endpoint_failing"), "{failing}");
    let receipt = until(&world, &first, MessageStatus::Delivered, 120).await;
    assert!(receipt.attempts >= 21, "{receipt:?}");
    until(&world, &second, MessageStatus::Delivered, 20).await;
    let texts = sink.texts();
    // The step belongs to the endpoint: the second message waited behind.
    assert!(texts[..20].iter().all(|text| text == "first"), "{texts:?}");
    eventually("webhook again", 20, || async {
        world
            .ann
            .agent("queue")
            .await
            .ok()
            .filter(|agent| agent.delivery == Delivery::Webhook)
    })
    .await;
}

#[tokio::test]
async fn retries_wait_for_their_steps() {
    let coordinator = scaled(50).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![Answer::status(503); 4]).await;
    pushed_to(&world, &sink.url).await;
    send(&world, "x").await;
    let pushes = sink.wait_for(5, 60).await;
    let gaps: Vec<_> = pushes
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    for (gap, step_secs) in gaps.iter().zip([5, 30, 120, 600]) {
        let least = Duration::from_secs(step_secs).mul_f64(0.8) / 50;
        assert!(*gap >= least - Duration::from_millis(20), "{gaps:?}");
    }
    assert!(gaps.is_sorted());
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let world = shared().await.world().await;
    let later = Answer::Status(429, vec![("retry-after", "2".into())], String::new());
    let sink = Sink::start(vec![later]).await;
    pushed_to(&world, &sink.url).await;
    send(&world, "x").await;
    let pushes = sink.wait_for(2, 20).await;
    let gap = pushes[1].at - pushes[0].at;
    assert!(gap >= Duration::from_millis(1900), "{gap:?}");
    assert!(
        gap < Duration::from_millis(4000),
        "the five seconds of the first step: {gap:?}"
    );
}

#[tokio::test]
async fn a_hanging_endpoint_holds_up_neither_the_sender_nor_another_mailbox() {
    let world = shared().await.world().await;
    let (stuck, quick) = (
        Sink::start(vec![Answer::Hang]).await,
        Sink::start(vec![]).await,
    );
    pushed_to(&world, &stuck.url).await;
    world
        .ann
        .register(&with_endpoint("other", &quick.url))
        .await
        .unwrap();
    let started = Instant::now();
    let id = send(&world, "stuck").await;
    assert!(started.elapsed() < Duration::from_secs(5));
    stuck.wait_for(1, 10).await;
    world
        .dan
        .send(&message("ws", "other", "quick"), None)
        .await
        .unwrap();
    quick.wait_for(1, 5).await;
    // It is open still; the message can be polled meanwhile.
    assert_eq!(
        world.dan.receipt(&id).await.unwrap().status,
        MessageStatus::Pending
    );
    assert_eq!(
        world
            .ann
            .messages("queue", "status=pending")
            .await
            .unwrap()
            .len(),
        1
    );
    let receipt = eventually("the timeout", 30, || async {
        world
            .dan
            .receipt(&id)
            .await
            .ok()
            .filter(|receipt| receipt.last_error.is_some())
    })
    .await;
    assert_eq!(receipt.last_error.as_deref(), Some("timeout"));
    until(&world, &id, MessageStatus::Delivered, 20).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_is_a_retry() {
    let world = shared().await.world().await;
    let url = format!("http://127.0.0.1:{}/", refusing_port().await);
    pushed_to(&world, &url).await;
    let id = send(&world, "x").await;
    let receipt = eventually("a failed attempt", 10, || async {
        world
            .dan
            .receipt(&id)
            .await
            .ok()
            .filter(|receipt| receipt.attempts > 0)
    })
    .await;
    assert_eq!(
        (receipt.status, receipt.last_error.as_deref()),
        (MessageStatus::Pending, Some("connection_failed"))
    );
}

#[tokio::test]
async fn a_redirect_is_a_retry_and_is_not_followed() {
    let world = shared().await.world().await;
    let target = Sink::start(vec![]).await;
    let moved = Answer::Status(307, vec![("location", target.url.clone())], String::new());
    let sink = Sink::start(vec![moved]).await;
    pushed_to(&world, &sink.url).await;
    let id = send(&world, "x").await;
    let receipt = eventually("a failed attempt", 10, || async {
        world
            .dan
            .receipt(&id)
            .await
            .ok()
            .filter(|receipt| receipt.attempts > 0)
    })
    .await;
    assert_eq!(receipt.last_error.as_deref(), Some("http_307"));
    until(&world, &id, MessageStatus::Delivered, 20).await;
    assert_eq!(target.received().len(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_its_status_counts() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![Answer::Endless]).await;
    pushed_to(&world, &sink.url).await;
    let id = send(&world, "x").await;
    until(&world, &id, MessageStatus::Delivered, 12).await;
    let id = send(&world, "y").await;
    until(&world, &id, MessageStatus::Delivered, 10).await;
}

#[tokio::test]
async fn a_2xx_whose_body_breaks_off_is_delivered() {
    let world = shared().await.world().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://127.0.0.1:{}/",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8192];
            let _ = stream.read(&mut request).await;
            let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok";
            let _ = stream.write_all(broken).await;
        }
    });
    pushed_to(&world, &url).await;
    let id = send(&world, "x").await;
    let receipt = until(&world, &id, MessageStatus::Delivered, 10).await;
    assert_eq!((receipt.attempts, receipt.last_error), (1, None));
}

#[tokio::test]
async fn an_endpoint_that_was_replaced_has_no_say_any_longer() {
    let world = shared().await.world().await;
    let (old, new) = (
        Sink::start(vec![Answer::Late(400)]).await,
        Sink::start(vec![]).await,
    );
    pushed_to(&world, &old.url).await;
    let id = send(&world, "x").await;
    old.wait_for(1, 10).await;
    world
        .ann
        .update("queue", &json!({"endpoint": new.url}))
        .await
        .unwrap();
    until(&world, &id, MessageStatus::Delivered, 20).await;
    assert_eq!(new.texts(), ["x"]);
}

#[tokio::test]
async fn a_secret_without_an_endpoint_is_refused_instead_of_lost() {
    let world = shared().await.world().await;
    let mut body = agent("w");
    body["webhook_secret"] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
    assert_eq!(fields(world.dan.register(&body).await), ["webhook_secret"]);
}

#[tokio::test]
async fn a_secret_whose_key_is_gone_is_shown_as_such_and_can_be_replaced() {
    let mut coordinator = scaled(1).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    pushed_to(&world, &sink.url).await;
    coordinator.kill();
    coordinator.set_master_key(Some("k2:HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo="));
    coordinator.launch().await;
    let id = send(&world, "x").await;
    let receipt = eventually("a failed attempt", 10, || async {
        world
            .dan
            .receipt(&id)
            .await
            .ok()
            .filter(|receipt| receipt.attempts > 0)
    })
    .await;
    assert_eq!(receipt.last_error.as_deref(), Some("secret_unreadable"));
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    world
        .ann
        .update("queue", &json!({"webhook_secret": secret}))
        .await
        .unwrap();
    until(&world, &id, MessageStatus::Delivered, 10).await;
    assert!(sink.received()[0].verify(secret));
}

#[tokio::test]
async fn both_keys_of_a_rotation_of_the_master_key_open_what_they_sealed() {
    let mut coordinator = scaled(1).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    let old = pushed_to(&world, &sink.url).await.webhook_secret.unwrap();
    coordinator.kill();
    coordinator.set_master_key(Some(
        "k2:HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo=,k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ));
    coordinator.launch().await;
    let new = world.ann.rotate_secret("queue").await.unwrap();
    send(&world, "x").await;
    let push = &sink.wait_for(1, 10).await[0];
    assert!(push.verify(&old) && push.verify(&new));
}

#[tokio::test]
async fn one_push_is_in_flight_at_a_time_and_the_order_is_kept() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    pushed_to(&world, &sink.url).await;
    let sends = (0..40).map(|n| {
        let dan = world.dan.clone();
        tokio::spawn(async move {
            dan.send(&message("ws", "queue", &n.to_string()), None)
                .await
                .unwrap()
                .id
                .to_string()
        })
    });
    let mut ids = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        ids.push(send.await.unwrap());
    }
    ids.sort();
    let pushed: Vec<_> = sink
        .wait_for(40, 20)
        .await
        .iter()
        .map(|push| push.id())
        .collect();
    assert_eq!(pushed, ids);
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
            world
                .dan
                .receipt(&id)
                .await
                .ok()
                .filter(|receipt| receipt.attempts == 1)
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
            drop(
                world
                    .ann
                    .update("queue", &json!({"endpoint": self.0}))
                    .await
                    .unwrap(),
            )
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
async fn what_was_polled_and_acknowledged_is_not_pushed() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![Answer::status(500)]).await;
    pushed_to(&world, &sink.url).await;
    let first = send(&world, "polled").await;
    sink.wait_for(1, 10).await;
    let second = send(&world, "pushed").await;
    world.ann.report(&first, "acked", None).await.unwrap();
    until(&world, &second, MessageStatus::Delivered, 20).await;
    assert_eq!(sink.texts(), ["polled", "pushed"]);
}

#[tokio::test]
async fn a_generated_secret_is_shown_once_and_a_given_one_is_not_repeated() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let generated = pushed_to(&world, &sink.url).await.webhook_secret;
    assert!(generated.unwrap().starts_with("whsec_"));
    let again = world
        .ann
        .register(&with_endpoint("queue", &sink.url))
        .await
        .unwrap();
    assert_eq!(again.webhook_secret, None);
    assert_eq!(world.ann.agent("queue").await.unwrap().webhook_secret, None);
    let mut body = with_endpoint("other", &sink.url);
    body["webhook_secret"] = given.into();
    assert_eq!(
        world.ann.register(&body).await.unwrap().webhook_secret,
        None
    );
    world
        .dan
        .send(&message("ws", "other", "x"), None)
        .await
        .unwrap();
    assert!(sink.wait_for(1, 10).await[0].verify(given));
    body["webhook_secret"] = "whsec_short".into();
    assert_eq!(fields(world.ann.register(&body).await), ["webhook_secret"]);
}

#[tokio::test]
async fn a_replaced_secret_goes_on_signing_beside_the_new_one() {
    // The day of overlap is 28.8 s under this scale.
    let coordinator = scaled(3_000).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    let old = pushed_to(&world, &sink.url).await.webhook_secret.unwrap();
    let new = world.ann.rotate_secret("queue").await.unwrap();
    assert_ne!(old, new);
    send(&world, "x").await;
    let push = &sink.wait_for(1, 15).await[0];
    assert_eq!(push.header("webhook-signature").split(' ').count(), 2);
    assert!(push.verify(&old) && push.verify(&new));
    eventually("the old secret's end", 60, || async {
        world.ann.test_endpoint("queue").await.unwrap();
        let push = sink.received().pop().unwrap();
        assert!(push.verify(&new));
        (!push.verify(&old)).then_some(())
    })
    .await;
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
        &format!("http://127.0.0.1:{}/v1", shared().await.port()),
    ] {
        assert_eq!(
            fields(world.dan.register(&with_endpoint("w", url)).await),
            ["endpoint"],
            "{url}"
        );
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
    let cleared = world
        .ann
        .update("queue", &json!({"endpoint": ""}))
        .await
        .unwrap();
    assert_eq!(
        (cleared.delivery, cleared.endpoint.as_str()),
        (Delivery::Polling, "")
    );
    send(&world, "x").await;
    assert_eq!(
        world.ann.messages("queue", "wait=1").await.unwrap().len(),
        1
    );
    assert_eq!(sink.received().len(), 0);
}
