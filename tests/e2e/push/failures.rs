//! Faults of endpoints, and their consequences.

use super::{attempted, send};
use crate::{delivery_is, message, name, pushed, pushed_to, send_many, status_is, with_endpoint};
use e2e::{Answer, Sink, eventually, refusing_port, scaled, shared};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn four_statuses_reject_a_message_for_good_and_the_next_one_goes() {
    let script = [400, 413, 415, 422].map(Answer::status).to_vec();
    let (world, sink, _) = pushed(shared().await, script).await;
    let ids = send_many(&world, 5).await;
    status_is(&world, &ids[4], MessageStatus::Delivered).await;
    for (id, status) in ids.iter().zip([400, 413, 415, 422]) {
        let receipt = status_is(&world, id, MessageStatus::Failed).await;
        assert_eq!(receipt.failure_reason, Some(FailureReason::Rejected));
        assert_eq!(receipt.last_error.unwrap(), format!("http_{status}"));
    }
    assert_eq!(sink.received().len(), 5);
    // Each failure is reported to its sender once.
    let notices = eventually("four notices", || async {
        Some(world.dan.messages("ws", "").await.unwrap()).filter(|notices| notices.len() >= 4)
    })
    .await;
    assert_eq!(notices.len(), 4);
    for (notice, id) in notices.iter().zip(&ids) {
        assert_eq!(
            (notice.from.to_string(), notice.from_owner.as_str()),
            ("system".into(), "system")
        );
        assert!(notice.body.contains(id) && notice.body.contains("rejected"), "{}", notice.body);
    }
}

#[tokio::test]
async fn a_gone_endpoint_rests_until_it_is_set_again_or_a_test_succeeds() {
    let (world, sink, _) = pushed(shared().await, vec![Answer::status(410)]).await;
    let id = send(&world, "one").await;
    let found = delivery_is(&world, "queue", Delivery::Polling).await;
    assert!(found.delivery_reason.unwrap().contains("endpoint_gone"));
    send(&world, "two").await;
    assert_eq!(world.ann.messages("queue", "status=pending").await.unwrap().len(), 2);
    // A renewal without it, a rotated secret, a given one: none of them sets it.
    world.ann.register(&crate::agent("queue")).await.unwrap();
    world.ann.rotate_secret(&name("queue")).await.unwrap();
    let secret = format!("whsec_{}", "A".repeat(32));
    world.ann.update("queue", &json!({"webhook_secret": secret})).await.unwrap();
    let still = world.ann.agent("queue").await.unwrap();
    assert_eq!(still.delivery, Delivery::Polling);
    assert!(still.delivery_reason.unwrap().contains("endpoint_gone"));
    assert_eq!(sink.received().len(), 1);
    world.ann.update("queue", &json!({"endpoint": sink.url})).await.unwrap();
    status_is(&world, &id, MessageStatus::Delivered).await;
    sink.wait_for(3).await;
    assert_eq!(sink.texts(), ["one", "one", "two"]);
    assert_eq!(delivery_is(&world, "queue", Delivery::Webhook).await.delivery_reason, None);
    sink.answer_next([Answer::status(410)]);
    let id = send(&world, "three").await;
    sink.wait_for(4).await;
    assert!(world.ann.test_endpoint(&name("queue")).await.unwrap().ok);
    status_is(&world, &id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn a_message_is_delivered_after_twenty_times_500_and_the_next_one_waits_for_it() {
    let (world, sink, _) = pushed(scaled(4_000).await, vec![Answer::status(500); 20]).await;
    let first = send(&world, "first").await;
    let second = send(&world, "second").await;
    let failing = eventually("the failing endpoint to be shown", || async {
        world.ann.agent("queue").await.ok()?.delivery_reason
    })
    .await;
    assert!(failing.contains("endpoint_failing"), "{failing}");
    let receipt = status_is(&world, &first, MessageStatus::Delivered).await;
    assert!(receipt.attempts >= 21, "{receipt:?}");
    status_is(&world, &second, MessageStatus::Delivered).await;
    let texts = sink.texts();
    // The step belongs to the endpoint: the second message waited behind.
    assert!(texts[..20].iter().all(|text| text == "first"), "{texts:?}");
    delivery_is(&world, "queue", Delivery::Webhook).await;
}

#[tokio::test]
async fn retries_wait_for_their_steps_unless_retry_after_asks_for_another_time() {
    let asks = |code, text: &str| {
        Answer::Status(code, vec![("retry-after", text.to_owned())], String::new())
    };
    // Other values than a number or a date in the future are ignored.
    let script = vec![
        asks(429, "-1"),
        asks(503, "1.5"),
        asks(429, "Sun, 06 Nov 1994 08:49:37 GMT"),
        asks(503, "soon 5"),
        asks(503, "400"),
        asks(429, "99999999999999999999"),
    ];
    let (world, sink, _) = pushed(scaled(100).await, script).await;
    send(&world, "x").await;
    let pushes = sink.wait_for(6).await;
    let gaps: Vec<_> = pushes.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    let least = [4, 24, 96, 480, 400].map(|secs| Duration::from_secs(secs) / 100);
    for (gap, least) in gaps.iter().zip(least) {
        assert!(*gap >= least - Duration::from_millis(20), "{gaps:?}");
    }
    // The fifth step would be an hour: 36 s here.
    assert!(gaps[4] < Duration::from_secs(20), "{gaps:?}");
    // A number that is too large is an hour, like any other above it.
    let agent = eventually("the sixth answer", || async {
        let agent = world.ann.agent("queue").await.ok()?;
        agent.delivery_reason.as_ref().is_some_and(|reason| reason.contains("429")).then_some(agent)
    })
    .await;
    assert_eq!(agent.delivery, Delivery::Polling);
    assert_eq!(sink.received().len(), 6);
}

#[tokio::test]
async fn pushes_to_an_endpoint_that_answers_with_text_share_connections() {
    let script = vec![Answer::Chunked(200, "text/html"); 20];
    let (world, sink, _) = pushed(shared().await, script).await;
    send_many(&world, 20).await;
    sink.wait_for(20).await;
    // A slow machine may not read each answer to its end in time.
    assert!(sink.connections() <= 10, "{} connections for 20 pushes", sink.connections());
}

#[tokio::test]
async fn an_answer_whose_body_dribbles_holds_up_no_message() {
    let dribble = Answer::Dribble;
    let script = vec![
        dribble(200, "text/plain"),
        dribble(200, "application/json"),
        dribble(202, "text/html"),
        dribble(422, "application/json"),
        dribble(200, "text/plain"),
    ];
    let (world, sink, _) = pushed(shared().await, script).await;
    let ids = send_many(&world, 6).await;
    // Read to its end each would take 15 s.
    let last = status_is(&world, &ids[5], MessageStatus::Delivered);
    timeout(Duration::from_secs(25), last).await.expect("the answers are read to their ends");
    for (id, status) in ids.iter().zip([
        MessageStatus::Delivered,
        MessageStatus::Delivered,
        MessageStatus::Delivered,
        MessageStatus::Failed,
        MessageStatus::Delivered,
    ]) {
        assert_eq!(world.dan.receipt(id).await.unwrap().status, status, "{id}");
    }
    assert_eq!(sink.texts(), ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_hanging_endpoint_holds_up_neither_the_sender_nor_another_mailbox() {
    let (world, stuck, _) = pushed(shared().await, vec![Answer::Hang]).await;
    let quick = Sink::start(vec![]).await;
    world.ann.register(&with_endpoint("other", &quick.url)).await.unwrap();
    let id = send(&world, "stuck").await;
    stuck.wait_for(1).await;
    world.dan.send(&message("ws", "other", "quick"), None).await.unwrap();
    quick.wait_for(1).await;
    // It is open still; the message can be polled meanwhile.
    assert_eq!(world.dan.receipt(&id).await.unwrap().last_error, None);
    assert_eq!(world.ann.messages("queue", "status=pending").await.unwrap().len(), 1);
    let receipt = eventually("the timeout", || async {
        world.dan.receipt(&id).await.ok().filter(|receipt| receipt.last_error.is_some())
    })
    .await;
    assert_eq!(receipt.last_error.as_deref(), Some("timeout"));
    status_is(&world, &id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_is_a_retry() {
    let world = shared().await.world().await;
    let url = format!("http://127.0.0.1:{}/", refusing_port().await);
    pushed_to(&world, &url).await;
    let id = send(&world, "x").await;
    let receipt = attempted(&world, &id).await;
    assert_eq!(
        (receipt.status, receipt.last_error.as_deref()),
        (MessageStatus::Pending, Some("connection_failed"))
    );
}

#[tokio::test]
async fn a_redirect_is_a_retry_and_is_not_followed() {
    let target = Sink::start(vec![]).await;
    let moved = Answer::Status(307, vec![("location", target.url.clone())], String::new());
    let (world, ..) = pushed(shared().await, vec![moved]).await;
    let id = send(&world, "x").await;
    let receipt = attempted(&world, &id).await;
    assert_eq!(receipt.last_error.as_deref(), Some("http_307"));
    status_is(&world, &id, MessageStatus::Delivered).await;
    assert_eq!(target.received().len(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_its_status_counts() {
    let (world, ..) = pushed(shared().await, vec![Answer::Endless]).await;
    let id = send(&world, "x").await;
    assert_eq!(status_is(&world, &id, MessageStatus::Delivered).await.attempts, 1);
    let id = send(&world, "y").await;
    status_is(&world, &id, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn a_2xx_whose_body_breaks_off_is_delivered() {
    let world = shared().await.world().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
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
    let receipt = status_is(&world, &id, MessageStatus::Delivered).await;
    assert_eq!((receipt.attempts, receipt.last_error), (1, None));
}
