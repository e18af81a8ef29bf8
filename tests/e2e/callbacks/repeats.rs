//! Callbacks that come again, at once or after a kill.

use super::{Call, event, ids, serving, spawn};
use crate::agent;
use e2e::{Coordinator, Options, eventually, shared};
use futures_util::future::join_all;
use multiclaude_hybrid_protocol::spawn::Claim;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn of_twenty_equal_callbacks_at_once_one_is_taken() {
    let (world, _, secret) = serving(shared().await, vec![]).await;
    let request = spawn(&world.dan, json!({"task": "go"})).await;
    let id = request.id.to_string();
    let body = event("worker.started", &id, json!({"worker_name": "w"}));
    let call = Call::signed(&world, &id, &secret, "same", &body);
    let answers = join_all((0..20).map(|_| call.send())).await;
    let mut statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[200].as_slice(), &[409; 19]].concat());
}

/// Kills at once, starts again, and lets the scheduled handler run.
async fn die(coordinator: &mut Coordinator) {
    coordinator.restart().await;
    coordinator.run_cron().await;
}

#[tokio::test]
async fn a_kill_between_any_two_steps_of_a_worker_strands_and_doubles_nothing() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let (world, sink, secret) = serving(&coordinator, vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();

    // Between the row and its push.
    let request = spawn(&world.dan, json!({"task": "one", "spawned_by": "ws"})).await;
    die(&mut coordinator).await;
    sink.wait_for(1).await;
    // Between the push and the claim.
    die(&mut coordinator).await;
    let claimed = world.ci.claim(&Claim::default(), Some("k")).await.unwrap().unwrap();
    assert_eq!(claimed.id, request.id);
    // Between the claim and the end; the runner's repeat gets the same lease.
    die(&mut coordinator).await;
    let again = world.ci.claim(&Claim::default(), Some("k")).await.unwrap().unwrap();
    assert_eq!(again.lease, claimed.lease);
    let done = json!({"lease_token": again.lease.unwrap().token, "status": "completed", "summary": "done 1"});
    let path = format!("/workers/{}", request.id);
    world.ci.call(Method::PATCH, &path, &[], Some(&done)).await.unwrap();
    // Between the end and the notice.
    die(&mut coordinator).await;

    // The same with a callback in the runner's place.
    let second = spawn(&world.dan, json!({"task": "two", "spawned_by": "ws"})).await;
    let id = second.id.to_string();
    let body = event("worker.started", &id, json!({"worker_name": "w2"}));
    let call = Call::signed(&world, &id, &secret, "start-2", &body);
    assert_eq!(call.send().await.0, 200);
    die(&mut coordinator).await;
    call.refused("the start again", 409, "callback_replayed").await;
    let body = event("worker.completed", &id, json!({"worker_name": "w2", "summary": "done 2"}));
    let call = Call::signed(&world, &id, &secret, "end-2", &body);
    assert_eq!(call.send().await.0, 200);
    die(&mut coordinator).await;
    call.refused("the callback again", 409, "callback_replayed").await;

    let notices = eventually("both notices", || async {
        let mail = world.dan.messages("ws", "status=pending").await.unwrap();
        (mail.len() >= 2).then_some(mail)
    })
    .await;
    die(&mut coordinator).await;
    let later = world.dan.messages("ws", "status=pending").await.unwrap();
    assert_eq!(later, notices, "a notice was told twice");
    let texts: Vec<_> = notices.iter().map(|notice| notice.body.as_str()).collect();
    assert!(texts[0].contains("done 1") && texts[1].contains("done 2"), "{texts:?}");
    // For the receiver's eyes, each request once: a repeat has the same id.
    let mut pushed = ids(&sink);
    pushed.dedup();
    assert!([request.id.to_string(), id].starts_with(&pushed), "{pushed:?}");
}
