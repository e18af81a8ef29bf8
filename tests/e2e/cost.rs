//! What a message costs, as the mailbox's documentation states it.

use crate::{agent, message};
use e2e::{Coordinator, Options, Sink, eventually};
use serde_json::{Value, json};

/// The log lines that `wanted` picks, once there are `count` of them.
async fn lines(
    coordinator: &Coordinator,
    count: usize,
    wanted: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    eventually("log lines", 10, || async {
        let log = coordinator.log();
        let lines: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line| wanted(line))
            .collect();
        Some(lines).filter(|lines| lines.len() >= count)
    })
    .await
}

#[tokio::test]
async fn a_warm_send_push_poll_seen_and_ack_cost_what_the_documentation_states() {
    let coordinator = Coordinator::start(Options::default()).await;
    let world = coordinator.world().await;
    let sink = Sink::start(vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    let body = json!({"name": "queue", "type": "worker", "endpoint": sink.url});
    world.dan.register(&body).await.unwrap();
    // The first message makes the caller and the sender known, and the alarm.
    world.dan.send(&message("ws", "queue", "warm"), Some("warm")).await.unwrap();
    sink.wait_for(1, 10).await;
    lines(&coordinator, 1, |line| line["what"] == "marks").await;

    let id =
        world.dan.send(&message("ws", "queue", "counted"), Some("k")).await.unwrap().id.to_string();
    sink.wait_for(2, 10).await;
    lines(&coordinator, 2, |line| line["what"] == "marks").await;
    world.dan.messages("queue", "").await.unwrap();
    for report in [json!({"seen": true}), json!({"seen": true}), json!({"status": "acked"})] {
        world.dan.patch_message(&id, &report).await.unwrap();
    }

    let route = |route: &'static str, method: &'static str| {
        move |line: &Value| line["route"] == route && line["method"] == method
    };
    let cost = |line: &Value| (line["d1"].clone(), line["mailbox"].clone(), line["rows"].clone());
    let sends = lines(&coordinator, 2, route("/v1/repos/{repo}/messages", "POST")).await;
    let polls =
        lines(&coordinator, 1, route("/v1/repos/{repo}/agents/{name}/messages", "GET")).await;
    let reports = lines(&coordinator, 3, route("/v1/repos/{repo}/messages/{id}", "PATCH")).await;
    // D1 statements, requests to a mailbox, rows written.
    assert_eq!(cost(&sends[1]), (json!(0), json!(1), json!(2)));
    assert_eq!(cost(&polls[0]), (json!(0), json!(1), json!(0)));
    let rows = [1, 0, 1];
    for (report, rows) in reports.iter().zip(rows) {
        assert_eq!(cost(report), (json!(0), json!(1), json!(rows)));
    }
    let pushes = lines(&coordinator, 2, |line| line["event"] == "push").await;
    assert_eq!(pushes[1]["rows"], 0);
    let marks = lines(&coordinator, 2, |line| line["what"] == "marks").await;
    assert_eq!((marks.len(), &marks[1]["rows"]), (2, &json!(1)));
}
