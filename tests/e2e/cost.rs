//! What a message costs, as the mailbox's documentation states it.

use crate::{agent, message, with_endpoint};
use e2e::{RepoClient, Sink, eventually, shared};
use reqwest::Method;
use serde_json::{Value, json};

/// D1 statements, requests to a mailbox, and rows written by a call.
async fn cost(client: &RepoClient, method: Method, path: &str, body: Option<Value>) -> [u64; 3] {
    let key = [("idempotency-key", "counted")];
    let reply = client.call(method, path, &key, body.as_ref()).await.unwrap();
    let line = shared().await.line_of(&reply).await;
    ["d1", "mailbox", "rows"].map(|name| line[name].as_u64().unwrap())
}

/// The log lines of this mailbox and this kind, once there are `count` of them.
async fn lines(mailbox: &str, kind: (&str, &str), count: usize) -> Vec<Value> {
    let is_wanted = |line: &Value| line["mailbox"] == mailbox && line[kind.0] == kind.1;
    eventually("log lines", || async {
        let log = shared().await.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines.filter(is_wanted).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn a_warm_send_push_poll_seen_and_ack_cost_what_the_documentation_states() {
    let world = shared().await.world().await;
    let mailbox = format!("{}/queue", world.repo);
    let sink = Sink::start(vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    let body = with_endpoint("queue", &sink.url);
    world.dan.register(&body).await.unwrap();
    // The first message makes the caller and the sender known, and the alarm.
    world.dan.send(&message("ws", "queue", "warm"), Some("warm")).await.unwrap();
    sink.wait_for(1).await;
    lines(&mailbox, ("what", "marks"), 1).await;

    let body = message("ws", "queue", "counted");
    assert_eq!(cost(&world.dan, Method::POST, "/messages", Some(body)).await, [0, 1, 2]);
    let id = sink.wait_for(2).await[1].id();
    assert_eq!(lines(&mailbox, ("event", "push"), 2).await[1]["rows"], 0);
    let marks = lines(&mailbox, ("what", "marks"), 2).await;
    assert_eq!((marks.len(), &marks[1]["rows"]), (2, &json!(1)));

    let path = "/agents/queue/messages";
    assert_eq!(cost(&world.dan, Method::GET, path, None).await, [0, 1, 0]);
    let seen = json!({"seen": true});
    for (report, rows) in [(seen.clone(), 1), (seen, 0), (json!({"status": "acked"}), 1)] {
        let path = format!("/messages/{id}");
        let costs = cost(&world.dan, Method::PATCH, &path, Some(report)).await;
        assert_eq!(costs, [0, 1, rows]);
    }
}
