//! The box, pastes, Enter, and dialogs that take them.

use super::{ID, Pane, human};
use e2e::until;
use serde_json::json;
use std::fs;
use std::path::Path;

#[tokio::test]
async fn a_paste_and_enter_in_one_call_are_taken_and_written_to_the_transcript() {
    let pane = Pane::new(&[]).await;
    assert!(pane.claude.transcript(ID).is_empty());
    let registered = pane.registered();
    let stat = fs::read_to_string(format!("/proc/{}/stat", registered["pid"])).unwrap();
    let start = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap();
    assert_eq!(registered["procStart"], start);
    assert_eq!(registered["sessionId"], ID);
    assert_eq!(registered["tmux"], "s:@0.%0");
    assert!(Path::new(registered["messagingSocketPath"].as_str().unwrap()).exists());
    let comm = fs::read_to_string(format!("/proc/{}/comm", registered["pid"])).unwrap();
    assert_eq!(comm, "claude\n");
    // The placeholder looks like text, but is dim after its first character.
    pane.shows("\x1b[7mT\x1b[0;2m").await;
    pane.paste("one\ntwo", &["Enter"]);
    pane.line(ID, "the prompt", human("one\ntwo", "typed")).await;
    assert_eq!(pane.taken(), [("one\ntwo".to_owned(), "typed".to_owned())]);
}

#[tokio::test]
async fn enter_is_swallowed_at_the_start_and_the_text_stays_in_the_box() {
    let pane = Pane::new(&[("CLAUDE_STAND_IN_DEAF_MS", "3600000")]).await;
    pane.paste("too early", &["Enter"]);
    pane.shows("too early").await;
    pane.state("it is a draft", |state| state["box"] == "too early").await;
    assert_eq!(pane.drawn().unwrap(), "❯\u{a0}too early");
    assert!(pane.taken().is_empty());
}

#[tokio::test]
async fn a_late_paste_lets_enter_send_what_was_there_before() {
    let pane =
        Pane::new(&[("CLAUDE_STAND_IN_VERSION", "2.1.20"), ("CLAUDE_STAND_IN_SUGGESTION", "grey")])
            .await;
    assert!(pane.registered().is_null() && pane.claude.state()["socket"].is_null());
    pane.paste("late", &["Enter"]);
    pane.claude.event("taken", "grey").await;
    pane.state("the paste is a draft", |state| state["box"] == "late").await;
    pane.keys(&["Enter"]);
    pane.claude.event("taken", "late").await;
    assert_eq!(pane.taken().len(), 2);
}

#[tokio::test]
async fn on_197_only_the_first_paste_is_late_and_there_is_no_socket() {
    let pane = Pane::new(&[("CLAUDE_STAND_IN_VERSION", "2.1.197")]).await;
    assert_eq!(pane.registered()["status"], "idle");
    assert!(pane.registered()["messagingSocketPath"].is_null());
    pane.paste("first", &["Enter"]);
    pane.state("it is a draft", |state| state["box"] == "first").await;
    pane.keys(&["Enter"]);
    pane.claude.event("taken", "first").await;
    pane.state("idle", |state| state["busy"] == false).await;
    pane.paste("second", &["Enter"]);
    pane.line(ID, "the second", human("second", "typed")).await;
    assert_eq!(pane.taken().len(), 2);
}

#[tokio::test]
async fn a_dialog_has_no_box_swallows_a_paste_and_takes_enter_for_yes() {
    let pane = Pane::new(&[]).await;
    for dialog in ["permission", "picker"] {
        pane.claude.ask(json!({ "dialog": dialog }));
        pane.state("it waits", |state| state["status"] == "waiting").await;
        until("no box is drawn", async || pane.drawn().is_none()).await;
        pane.paste("into a dialog", &["Enter"]);
        pane.state("it is closed", |state| state["dialog"].is_null()).await;
    }
    let approved = pane.claude.events().into_iter().filter(|event| event["event"] == "approved");
    let approved: Vec<_> = approved.map(|event| event["dialog"].clone()).collect();
    assert_eq!(approved, ["permission", "picker"]);
    assert_eq!(pane.claude.texts("swallowed"), ["into a dialog", "into a dialog"]);
    assert!(pane.taken().is_empty() && pane.claude.state()["box"] == "");
}

#[tokio::test]
async fn a_stashed_draft_comes_back_after_the_next_submit() {
    let pane = Pane::new(&[]).await;
    pane.keys(&["-l", "half typed"]);
    pane.state("a draft", |state| state["box"] == "half typed").await;
    pane.keys(&["C-s"]);
    pane.state("it is put aside", |state| state["box"] == "").await;
    pane.paste("a message", &["Enter"]);
    pane.claude.event("taken", "a message").await;
    let drawn = Some("❯\u{a0}half typed");
    until("it is back", async || pane.drawn().as_deref() == drawn).await;
    assert_eq!(pane.taken().len(), 1);
}

#[tokio::test]
async fn the_keyboard_changes_texts_and_takes_some_for_commands() {
    let pane = Pane::new(&[]).await;
    pane.paste("!touch x", &["Enter"]);
    pane.claude.event("executed", "touch x").await;
    pane.state("idle", |state| state["busy"] == false).await;
    assert!(!pane.machine.path("work/x").exists());
    pane.paste("ends in \\", &["Enter"]);
    pane.state("a newline", |state| state["box"] == "ends in \n").await;
    pane.keys(&["C-c"]);
    pane.state("cleared", |state| state["box"] == "").await;
    pane.paste("ab\u{202e}cd", &["Enter"]);
    pane.shows("Removed 1 invisible character").await;
    assert!(pane.taken().is_empty());
    pane.keys(&["Enter"]);
    pane.claude.event("taken", "abcd").await;
    let long = "x".repeat(60_000);
    pane.paste(&long, &[]);
    pane.shows("[Pasted text #1]").await;
    pane.keys(&["C-c"]);
    pane.state("cleared", |state| state["box"] == "").await;
    pane.paste("1\n2\n3\n4\n5", &["Enter"]);
    let taken = pane.claude.event("taken", "1\n2\n3\n4\n5").await;
    assert!(taken["text"].as_str().unwrap().contains("<pasted_content"));
}

#[tokio::test]
async fn a_search_or_the_transcript_has_no_box_though_the_sessions_file_says_idle() {
    let pane = Pane::new(&[]).await;
    for (key, name) in [("C-r", "search"), ("C-o", "transcript")] {
        pane.keys(&[key]);
        pane.state("it is open", |state| state["dialog"] == name).await;
        until("no box is drawn", async || pane.drawn().is_none()).await;
        assert_eq!(pane.registered()["status"], "idle");
        pane.paste("lost", &["Enter"]);
        pane.claude.event("swallowed", "lost").await;
        pane.keys(&["Escape"]);
        pane.state("it is closed", |state| state["dialog"].is_null()).await;
    }
    assert!(pane.taken().is_empty());
}
