//! What an endpoint may do wrong, and what follows.

use super::{pushed_to, scaled, send, until, with_endpoint};
use crate::message;
use e2e::{Answer, Sink, eventually, refusing_port, shared};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus};
use serde_json::json;
use std::time::{Duration, Instant};

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
        assert!(notice.body.contains(id) && notice.body.contains("rejected"), "{}", notice.body);
    }
}

#[tokio::test]
async fn a_gone_endpoint_rests_until_it_is_set_again() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![Answer::status(410)]).await;
    pushed_to(&world, &sink.url).await;
    let id = send(&world, "one").await;
    let found = eventually("polling", 10, || async {
        world.ann.agent("queue").await.ok().filter(|agent| agent.delivery == Delivery::Polling)
    })
    .await;
    assert!(found.delivery_reason.unwrap().contains("endpoint_gone"));
    send(&world, "two").await;
    assert_eq!(world.ann.messages("queue", "status=pending").await.unwrap().len(), 2);
    assert_eq!(sink.received().len(), 1);
    world.ann.update("queue", &json!({"endpoint": sink.url})).await.unwrap();
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
        world.ann.agent("queue").await.ok().filter(|agent| agent.delivery == Delivery::Webhook)
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
    let gaps: Vec<_> = pushes.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (gap, step_secs) in gaps.iter().zip([5, 30, 120, 600]) {
        let least = Duration::from_secs(step_secs).mul_f64(0.8) / 50;
        assert!(*gap >= least - Duration::from_millis(20), "{gaps:?}");
    }
    assert!(gaps[3] > gaps[0] * 4, "{gaps:?}");
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
    assert!(gap < Duration::from_millis(4000), "the five seconds of the first step: {gap:?}");
}

#[tokio::test]
async fn a_hanging_endpoint_holds_up_neither_the_sender_nor_another_mailbox() {
    let world = shared().await.world().await;
    let (stuck, quick) = (Sink::start(vec![Answer::Hang]).await, Sink::start(vec![]).await);
    pushed_to(&world, &stuck.url).await;
    world.ann.register(&with_endpoint("other", &quick.url)).await.unwrap();
    let started = Instant::now();
    let id = send(&world, "stuck").await;
    assert!(started.elapsed() < Duration::from_secs(5));
    stuck.wait_for(1, 10).await;
    world.dan.send(&message("ws", "other", "quick"), None).await.unwrap();
    quick.wait_for(1, 5).await;
    // It is open still; the message can be polled meanwhile.
    assert_eq!(world.dan.receipt(&id).await.unwrap().status, MessageStatus::Pending);
    assert_eq!(world.ann.messages("queue", "status=pending").await.unwrap().len(), 1);
    let receipt = eventually("the timeout", 30, || async {
        world.dan.receipt(&id).await.ok().filter(|receipt| receipt.last_error.is_some())
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
        world.dan.receipt(&id).await.ok().filter(|receipt| receipt.attempts > 0)
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
        world.dan.receipt(&id).await.ok().filter(|receipt| receipt.attempts > 0)
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
    let receipt = until(&world, &id, MessageStatus::Delivered, 10).await;
    assert_eq!((receipt.attempts, receipt.last_error), (1, None));
}
