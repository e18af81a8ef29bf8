//! The inbox socket.

use super::{ID, Pane, pair, peer};
use serde_json::{Value, json};

#[tokio::test]
async fn a_child_is_delivered_an_outsider_is_held_and_accept_changes_that() {
    let pane = Pane::new(&[]).await;
    pane.server_ready().await;
    pane.post_by_child("ann", &["!touch of a child"], ID);
    let line = pane.line(ID, "the peer's prompt", peer("!touch of a child")).await;
    assert_eq!(
        (&line["origin"]["from"], &line["origin"]["selfSent"]),
        (&json!("ann"), &json!(true))
    );
    let idle = [pair("enqueue", "!touch of a child"), pair("dequeue", Value::Null)];
    assert_eq!(pane.operations(ID), idle);
    pane.post_by_child("ann", &["to another session"], "22222222-1111-4111-8111-111111111111");
    pane.claude.event("dropped", "to another session").await;

    pane.post("eve", "from outside", ID);
    pane.shows("Held message from another session").await;
    assert_eq!(pane.registered()["waitingFor"], "permission prompt");
    pane.keys(&["Enter"]);
    pane.state("denied", |state| state["dialog"].is_null()).await;
    pane.post("eve", "held again", ID);
    pane.state("held", |state| state["dialog"] == "held").await;
    pane.keys(&["Down", "Enter"]);
    pane.line(ID, "it is delivered", peer("held again")).await;

    pane.machine.write(".claude/settings.json", r#"{"crossSessionInbound": "accept"}"#);
    pane.post("eve", "accepted", ID);
    pane.line(ID, "it is accepted", peer("accepted")).await;
    let taken: Vec<_> = pane.taken().into_iter().map(|(text, _)| text).collect();
    assert_eq!(taken, ["!touch of a child", "held again", "accepted"]);
    assert!(pane.claude.texts("executed").is_empty());
}

#[tokio::test]
async fn a_grandchild_is_a_child_a_daemon_is_none_and_clear_makes_the_old_id_wrong() {
    let pane = Pane::new(&[]).await;
    pane.server_ready().await;
    let post = |text: &str, session: &str, how: &str| {
        let arguments = json!({ "from": "ann", "texts": [text], "session": session, "how": how });
        pane.claude.call_tool("post", "post", arguments);
    };
    post("of a grandchild", ID, "grandchild");
    pane.line(ID, "it is taken", peer("of a grandchild")).await;
    post("of a daemon", ID, "daemon");
    pane.claude.event("held", "of a daemon").await;
    pane.keys(&["Enter"]);
    pane.state("denied", |state| state["dialog"].is_null() && state["busy"] == false).await;
    let server = pane.claude.state()["mcp"]["post"]["pid"].clone();
    pane.keys(&["/clear", "Enter"]);
    let state = pane.state("another id", |state| state["session"] != ID).await;
    assert_eq!(state["mcp"]["post"]["pid"], server);
    // The server's environment still has the old id.
    post("under the old id", ID, "child");
    pane.claude.event("dropped", "under the old id").await;
    let new = state["session"].as_str().unwrap();
    post("under the new id", new, "child");
    pane.line(new, "it is taken", peer("under the new id")).await;
    let taken: Vec<_> = pane.taken().into_iter().map(|(text, _)| text).collect();
    assert_eq!(taken, ["of a grandchild", "under the new id"]);
}

#[tokio::test]
async fn a_burst_and_a_repetition_are_dropped_and_the_transcript_says_so_once() {
    let pane = Pane::new(&[]).await;
    pane.server_ready().await;
    pane.claude.ask(json!({ "turn_ms": 3_600_000, "start_turn": true }));
    pane.post_by_child("bob", &["same", "same"], ID);
    pane.claude.event("dropped", "same").await;
    let texts: Vec<String> = (0..45).map(|number| format!("burst {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    pane.post_by_child("ann", &texts, ID);
    // Which ones varies: connections are read side by side. Slow machines may have refilled
    // the allowance in the meantime.
    pane.claude.event("dropped", "burst").await;
    let queue = pane.claude.state()["queue"].as_array().unwrap().len();
    assert!((31..=45).contains(&queue), "{queue}");
    let dropped = |line: &Value| {
        let content = line["content"].as_str().unwrap_or_default();
        line["type"] == "system" && content.starts_with("Dropped a peer message from ann")
    };
    pane.line(ID, "the line", dropped).await;
    let lines = pane.claude.transcript(ID).into_iter().filter(dropped).count();
    assert_eq!(lines, 1);
}
