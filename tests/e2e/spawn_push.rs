//! Requests for workers that are pushed.

use crate::callbacks::{ids, push_to, serving, spawn};
use e2e::{Answer, Sink, scaled, shared, until};
use multiclaude_hybrid_protocol::spawn::Claim;
use serde_json::json;

#[tokio::test]
async fn an_endpoint_that_is_set_later_gets_what_is_still_pending() {
    let world = shared().await.world().await;
    let early = spawn(&world.dan, json!({"task": "early"})).await;
    let cancelled = spawn(&world.dan, json!({"task": "cancelled"})).await;
    world.dan.cancel_worker(&cancelled.id).await.unwrap();
    let sink = Sink::start(vec![]).await;
    push_to(&world, &sink.url).await;
    let late = spawn(&world.dan, json!({"task": "late"})).await;
    sink.wait_for(2).await;
    assert_eq!(ids(&sink), [early.id.to_string(), late.id.to_string()]);
}

/// Asks for the next try in 200 s, which are ten under a scale of 20: time
/// enough to end what waits, however busy the machine is.
fn after_ten_seconds() -> Answer {
    Answer::Status(503, vec![("retry-after", "200".into())], String::new())
}

#[tokio::test]
async fn a_failing_endpoint_is_tried_again_but_not_for_what_was_taken_meanwhile() {
    let (world, sink, _) =
        serving(scaled(20).await, vec![after_ten_seconds(), Answer::status(500)]).await;
    let first = spawn(&world.dan, json!({"task": "first"})).await;
    sink.wait_for(1).await;
    let second = spawn(&world.dan, json!({"task": "second"})).await;
    let claimed = world.ci.claim(&Claim::default(), None).await.unwrap().unwrap();
    assert_eq!(claimed.id, first.id);
    until("the second to be pushed again", async || ids(&sink).len() >= 3).await;
    let (first, second) = (first.id.to_string(), second.id.to_string());
    assert_eq!(ids(&sink)[..3], [first, second.clone(), second]);
}

#[tokio::test]
async fn a_request_that_ended_while_it_waited_is_not_pushed() {
    let (world, sink, _) = serving(scaled(20).await, vec![after_ten_seconds()]).await;
    let first = spawn(&world.dan, json!({"task": "first"})).await;
    sink.wait_for(1).await;
    let second = spawn(&world.dan, json!({"task": "second"})).await;
    let last = spawn(&world.dan, json!({"task": "last"})).await;
    for request in [&first, &second] {
        world.dan.cancel_worker(&request.id).await.unwrap();
    }
    until("the last one", async || ids(&sink).contains(&last.id.to_string())).await;
    let (first, last) = (first.id.to_string(), last.id.to_string());
    assert_eq!(ids(&sink)[..2], [first, last]);
}
