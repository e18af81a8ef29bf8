//! The queue, and when it is taken; `/clear`.

use super::{ID, Pane, human, pair, peer};
use serde_json::{Value, json};
use std::fs;

#[tokio::test]
async fn a_busy_session_queues_and_takes_at_the_end_or_absorbs_in_mid_turn() {
    let pane = Pane::new(&[("CLAUDE_STAND_IN_TURN_MS", "3600000")]).await;
    pane.paste("first", &["Enter"]);
    pane.claude.event("taken", "first").await;
    assert_eq!(pane.registered()["status"], "busy");
    for text in ["second", "third"] {
        pane.paste(text, &["Enter"]);
        pane.claude.event("queued", text).await;
    }
    pane.shows("ress up to edit queued messages").await;
    pane.claude.ask(json!({ "turn_ms": 3_600_000, "mode": "tool" }));
    pane.claude.ask(json!({ "end_turn": true }));
    pane.line(ID, "both in one turn", human("third", "queued")).await;
    let queued = [pair("enqueue", "second"), pair("enqueue", "third")];
    let dequeued = [pair("dequeue", Value::Null), pair("dequeue", Value::Null)];
    assert_eq!(pane.operations(ID), [queued, dequeued].concat());
    // This turn runs a tool: what is queued is absorbed when the tool ends.
    pane.paste("fourth", &["Enter"]);
    pane.claude.event("queued", "fourth").await;
    pane.claude.ask(json!({ "end_turn": true }));
    let attachment = |line: &Value| {
        line["attachment"]["type"] == "queued_command" && line["attachment"]["prompt"] == "fourth"
    };
    pane.line(ID, "it is absorbed", attachment).await;
    let removed =
        |line: &Value| line["operation"] == "remove" && line["reason"] == "absorbed_mid_turn";
    assert_eq!(pane.line(ID, "it is removed", removed).await["content"], "fourth");
    let how: Vec<_> = pane.taken().into_iter().map(|(_, how)| how).collect();
    assert_eq!(how, ["typed", "queued", "queued", "absorbed"]);
}

#[tokio::test]
async fn up_pulls_back_what_the_human_queued_and_nothing_of_peers() {
    let pane = Pane::new(&[]).await;
    pane.server_ready().await;
    pane.claude.ask(json!({ "turn_ms": 3_600_000, "start_turn": true }));
    for text in ["one", "two"] {
        pane.paste(text, &["Enter"]);
        pane.claude.event("queued", text).await;
    }
    pane.post_by_child("ann", &["of a peer"], ID);
    pane.claude.event("queued", "of a peer").await;
    pane.keys(&["Up"]);
    let state = pane.state("pulled back", |state| state["box"] == "one\ntwo").await;
    assert_eq!(state["queue"], json!(["of a peer"]));
    pane.line(ID, "the line", |line| line["operation"] == "popAll" && line["content"] == "two")
        .await;
    assert_eq!(pane.claude.texts("pulled_back"), ["one", "two"]);
}

#[tokio::test]
async fn clear_changes_the_id_and_the_file_but_not_the_command_line() {
    let pane = Pane::new(&[]).await;
    let pid = pane.claude.state()["pid"].clone();
    pane.paste("before", &["Enter"]);
    pane.line(ID, "before", human("before", "typed")).await;
    pane.state("idle", |state| state["busy"] == false).await;
    pane.keys(&["/clear", "Enter"]);
    pane.claude.event("command", "/clear").await;
    let state = pane.state("another id", |state| state["session"] != ID).await;
    let new = state["session"].as_str().unwrap().to_owned();
    pane.paste("after", &["Enter"]);
    pane.line(&new, "after", human("after", "typed")).await;
    let registered = pane.registered();
    assert_eq!((&registered["sessionId"], &registered["pid"]), (&json!(new), &pid));
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(line.contains(ID) && !line.contains(&new));
}

#[tokio::test]
async fn during_a_compaction_a_queued_prompt_has_no_content_and_is_taken_after_it() {
    let pane = Pane::new(&[]).await;
    pane.server_ready().await;
    pane.claude.ask(json!({ "compact_ms": 3_600_000 }));
    pane.paste("of the human", &["Enter"]);
    pane.claude.event("queued", "of the human").await;
    pane.post_by_child("ann", &["of a peer"], ID);
    pane.claude.event("queued", "of a peer").await;
    pane.claude.ask(json!({ "end_turn": true }));
    pane.line(ID, "the human first", human("of the human", "queued")).await;
    pane.line(ID, "then the peer", peer("of a peer")).await;
    let (none, content) = (pair("enqueue", Value::Null), pair("enqueue", "of a peer"));
    let dequeue = pair("dequeue", Value::Null);
    assert_eq!(pane.operations(ID), [none, content, dequeue.clone(), dequeue]);
}
