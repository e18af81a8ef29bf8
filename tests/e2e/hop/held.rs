//! Held messages, and their delivery when the reason ends.

use super::Hop;
use serde_json::json;
use std::process::Output;

impl Hop {
    fn keys(&self, agent: &str, keys: &[&str]) -> Output {
        let target = format!("=mc-app:={agent}");
        let mut args = vec!["send-keys", "-t", &target];
        args.extend(keys);
        self.ann.tmux(&args)
    }
}

#[tokio::test]
async fn a_dialog_a_draft_copy_mode_and_shell_mode_hold_a_message_and_stay_untouched() {
    let hop = Hop::with_keyboard(&[]).await;
    let claude = hop.ann.claude("fox");
    for dialog in ["permission", "picker"] {
        claude.ask(json!({ "dialog": dialog }));
        hop.dan.send("fox", "fox-ann", dialog);
        hop.held("dialog open").await;
        claude.ask(json!({ "dialog": null }));
        let id = hop.taken("fox", dialog).await;
        hop.seen(&id).await;
    }
    hop.keys("fox", &["-l", "half a thou"]);
    hop.dan.send("fox", "fox-ann", "behind a draft");
    hop.held("draft in the box").await;
    // The human completes it.
    hop.keys("fox", &["-l", "ght"]);
    hop.keys("fox", &["Enter"]);
    let id = hop.taken("fox", "behind a draft").await;
    assert!(claude.texts("taken").contains(&"half a thought".to_owned()), "as it was typed");
    hop.seen(&id).await;

    assert!(hop.ann.tmux(&["copy-mode", "-t", "=mc-app:=fox"]).status.success());
    hop.dan.send("fox", "fox-ann", "behind copy mode");
    hop.held("copy mode").await;
    let left = hop.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", "-X", "cancel"]);
    assert!(left.status.success(), "{left:?}");
    hop.taken("fox", "behind copy mode").await;

    // A shell command of the human's.
    hop.keys("fox", &["-l", "!"]);
    hop.dan.send("fox", "fox-ann", "behind a shell command");
    hop.held("shell mode").await;
    hop.keys("fox", &["BSpace"]);
    hop.taken("fox", "behind a shell command").await;
    hop.nothing_happened("fox");
}

#[tokio::test]
async fn a_message_whose_file_is_removed_unread_is_written_again_and_delivered() {
    let hop = Hop::with_keyboard(&[]).await;
    let claude = hop.ann.claude("fox");
    claude.ask(json!({ "dialog": "permission" }));
    for text in ["removed", "behind it"] {
        hop.dan.send("fox", "fox-ann", text);
    }
    hop.held("dialog open").await;
    let file = hop.ann.receives("fox", "removed").await;
    let path = hop.ann.messages("fox").join(format!("{}.json", file["id"].as_str().unwrap()));
    std::fs::remove_file(path).unwrap();
    claude.ask(json!({ "dialog": null }));
    for text in ["removed", "behind it"] {
        let id = hop.taken("fox", text).await;
        hop.seen(&id).await;
        assert_eq!(hop.times("fox", &id), 1);
    }
}

#[tokio::test]
async fn a_channel_delivers_beside_a_draft_and_does_not_change_it() {
    let hop = Hop::with_channel().await;
    let claude = hop.ann.claude("fox");
    hop.keys("fox", &["-l", "half a thought"]);
    hop.dan.send("fox", "fox-ann", "beside a draft");
    let id = hop.taken("fox", "beside a draft").await;
    hop.seen(&id).await;
    assert_eq!(claude.state()["box"], "half a thought");
    claude.ask(json!({ "dialog": "permission" }));
    hop.dan.send("fox", "fox-ann", "behind a dialog");
    hop.held("dialog open").await;
    claude.ask(json!({ "dialog": null }));
    hop.taken("fox", "behind a dialog").await;
    hop.nothing_happened("fox");
}

#[tokio::test]
async fn without_a_claude_nothing_is_typed_and_the_next_claude_gets_the_message() {
    let hop = Hop::with_keyboard(&[]).await;
    hop.keys("fox", &["C-c", "C-c"]);
    hop.keys("fox", &["-l", "/exit"]);
    hop.keys("fox", &["Enter"]);
    hop.claude_ended("fox").await;
    hop.dan.send("fox", "fox-ann", "x; touch proof");
    hop.held("no claude").await;
    hop.keys("fox", &["-l", "claude --dangerously-skip-permissions"]);
    hop.keys("fox", &["Enter"]);
    let id = hop.taken("fox", "x; touch proof").await;
    hop.seen(&id).await;
    assert!(!hop.ann.worktree("fox").join("proof").exists());
}

#[tokio::test]
async fn a_workspace_belongs_to_its_human_and_gets_a_note() {
    let hop = Hop::with_channel().await;
    hop.connected("default").await;
    hop.dan.send("fox", "workspace-ann", "when you have a minute");
    hop.held("for the human: multiclaude message list").await;
    let file = hop.ann.receives("default", "when you have a minute").await;
    // A message that the human has read does not wait any more.
    let id = file["id"].as_str().unwrap();
    let read = hop.ann.multiclaude(Some("default"), &["message", "read", id]);
    assert!(read.status.success(), "{read:?}");
    hop.ann
        .status_with("nothing waits", |status| {
            status["repos"][0]["held"].as_array()?.is_empty().then_some(())
        })
        .await;
    assert_eq!(hop.times("default", id), 0);
    // With --workspace=deliver it is treated as any agent.
    let hop = Hop::new(&[], true, &["--workspace=deliver"]).await;
    hop.connected("default").await;
    hop.dan.send("fox", "workspace-ann", "right into it");
    hop.taken("default", "right into it").await;
}
