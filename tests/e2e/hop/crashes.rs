//! Claude is killed, resumed or cleared; the bridge is killed between any two steps.

use super::Hop;
use e2e::process::LIMIT;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

impl Hop {
    /// Kills an agent's claude, and starts it again as multiclaude does.
    pub(super) async fn restart(&self, agent: &str) {
        let claude = self.ann.claude(agent);
        let session = claude.state()["session"].as_str().unwrap().to_owned();
        let pid = self.ann.claude(agent).runs_as().expect("a process");
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        let target = format!("=mc-app:={agent}");
        self.claude_ended(agent).await;
        // A session without any turn cannot be resumed.
        let flags = "--dangerously-skip-permissions";
        let line = format!(
            "stty sane; claude --resume {session} {flags} || claude --session-id {session} {flags}"
        );
        assert!(self.ann.tmux(&["send-keys", "-t", &target, &line, "Enter"]).status.success());
        let again = async {
            while claude.runs_as().is_none_or(|now| now == pid) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(LIMIT, again).await.is_err() {
            let screen = self.ann.tmux(&["capture-pane", "-p", "-t", &target]);
            panic!("{agent} does not run again:\n{}", String::from_utf8_lossy(&screen.stdout));
        }
    }
}

#[tokio::test]
async fn after_a_kill_a_queued_message_comes_again_and_a_taken_one_does_not() {
    let hop = Hop::with_channel().await;
    let claude = hop.ann.claude("fox");
    hop.dan.send("fox", "fox-ann", "taken before");
    let before = hop.taken("fox", "taken before").await;
    hop.seen(&before).await;
    claude.ask(json!({ "turn_ms": 60_000, "mode": "text" }));
    claude.ask(json!({ "start_turn": true }));
    hop.dan.send("fox", "fox-ann", "only queued");
    hop.held("in the queue of its agent").await;
    hop.restart("fox").await;
    let id = hop.taken("fox", "only queued").await;
    hop.seen(&id).await;
    assert_eq!((hop.times("fox", &id), hop.times("fox", &before)), (1, 1));
}

#[tokio::test]
async fn after_clear_messages_go_to_the_new_session() {
    let hop = Hop::with_channel().await;
    let claude = hop.ann.claude("fox");
    let session = claude.state()["session"].clone();
    hop.dan.send("fox", "fox-ann", "before");
    let id = hop.taken("fox", "before").await;
    hop.seen(&id).await;
    hop.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", "/clear", "Enter"]);
    e2e::until("another session", async || claude.state()["session"] != session).await;
    hop.dan.send("fox", "fox-ann", "after");
    let id = hop.taken("fox", "after").await;
    hop.seen(&id).await;
    assert_eq!(hop.times("fox", &id), 1);
}

#[tokio::test]
async fn a_message_that_the_human_pulled_back_waits_for_them() {
    let hop = Hop::with_keyboard(&[]).await;
    let claude = hop.ann.claude("fox");
    claude.ask(json!({ "turn_ms": 60_000, "mode": "text" }));
    claude.ask(json!({ "start_turn": true }));
    hop.dan.send("fox", "fox-ann", "wait for it");
    hop.held("in the queue of its agent").await;
    hop.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", "Up"]);
    claude.event("pulled_back", "").await;
    hop.held("its human pulled it back into the box").await;
    let id = hop.ann.receives("fox", "wait for it").await["id"].as_str().unwrap().to_owned();
    assert_eq!(hop.times("fox", &id), 0);
    // The human submits it.
    claude.ask(json!({ "end_turn": true, "turn_ms": 50 }));
    hop.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", "Enter"]);
    hop.taken("fox", "wait for it").await;
    hop.seen(&id).await;
    assert_eq!(hop.times("fox", &id), 1);
}

#[tokio::test]
async fn a_bridge_killed_between_two_steps_loses_and_doubles_no_message() {
    for channel in [true, false] {
        let mut hop =
            if channel { Hop::with_channel().await } else { Hop::with_keyboard(&[]).await };
        let (claude, inbox) = (hop.ann.claude("fox"), hop.inbox());
        // While it is in the queue.
        claude.ask(json!({ "turn_ms": 60_000, "mode": "text" }));
        claude.ask(json!({ "start_turn": true }));
        hop.dan.send("fox", "fox-ann", "killed while queued");
        hop.held("in the queue of its agent").await;
        hop.ann.kill_bridge();
        claude.ask(json!({ "end_turn": true, "turn_ms": 50 }));
        let first = hop.taken("fox", "killed while queued").await;
        hop.ann.start_bridge(&[]);
        hop.seen(&first).await;
        // After it was taken, and before that was noted: restore the record of the flight.
        let record = inbox.join("flight.json");
        claude.ask(json!({ "turn_ms": 100 }));
        hop.dan.send("fox", "fox-ann", "the record stays");
        let kept = e2e::eventually("a record", || async { fs::read(&record).ok() }).await;
        let second = hop.taken("fox", "the record stays").await;
        let of = |stage: &str| inbox.join(stage).join(format!("{second}.json"));
        e2e::until("it is reported", async || of("seen").exists()).await;
        hop.ann.kill_bridge();
        fs::rename(of("seen"), of("placed")).unwrap();
        fs::write(&record, kept).unwrap();
        hop.ann.start_bridge(&[]);
        e2e::until("it is known again", async || of("seen").exists()).await;
        // A message after that.
        if channel {
            hop.connected_again(2).await;
        }
        hop.dan.send("fox", "fox-ann", "the last one");
        let third = hop.taken("fox", "the last one").await;
        hop.seen(&third).await;
        for id in [&first, &second, &third] {
            assert_eq!(hop.times("fox", id), 1, "{id}: {:?}", claude.events());
        }
    }
}

impl Hop {
    async fn connected_again(&self, times: usize) {
        let line = "an agent has connected local=\"fox\"";
        e2e::until("the channel is open again", async || {
            self.ann.log().matches(line).count() >= times
        })
        .await;
    }
}

/// A tmux that kills the bridge before or after one call, as `~/dies` describes.
const DEADLY: &str = r#"#!/bin/sh
tmux=$(PATH=/usr/local/bin:/usr/bin:/bin command -v tmux)
[ -e ~/dies ] || exec "$tmux" "$@"
read -r when call <~/dies
case "$*" in *"$call"*) ;; *) exec "$tmux" "$@" ;; esac
rm ~/dies
[ "$when" = before ] || "$tmux" "$@"
kill -KILL $PPID
"#;

impl Hop {
    /// The bridge's directory of messages for fox.
    pub(super) fn inbox(&self) -> PathBuf {
        let path = format!(".multiclaude-hybrid/bridge/repos/{}/inbox/fox", self.world.repo);
        self.ann.machine.path(&path)
    }

    /// The record of the message that was being handed to fox.
    fn flight(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.inbox().join("flight.json")).ok()?).ok()
    }

    /// Starts a new bridge: fox takes the message once, its sender sees that, and the next one
    /// arrives.
    async fn goes_on_after(&mut self, text: &str) {
        self.ann.start_bridge(&[]);
        let next = format!("the one after: {text}");
        self.dan.send("fox", "fox-ann", &next);
        for text in [text, &next] {
            let id = self.taken("fox", text).await;
            self.seen(&id).await;
            assert_eq!(self.times("fox", &id), 1, "{id}: {:?}", self.ann.claude("fox").events());
        }
        self.ann
            .status_with("nothing waits", |status| {
                status["repos"][0]["held"].as_array()?.is_empty().then_some(())
            })
            .await;
        assert_eq!(self.flight(), None);
    }
}

#[tokio::test]
async fn a_bridge_that_dies_at_a_paste_or_an_enter_loses_and_doubles_no_message() {
    let mut hop = Hop::with_keyboard(&[]).await;
    hop.ann.machine.install("tmux", DEADLY);
    let enter = "Enter ; display-message";
    for (dies, noted, in_box) in [
        // Between the record and the paste.
        ("before paste-buffer", (false, 0), Some(false)),
        // Pasted, and not noted yet.
        ("after paste-buffer", (false, 0), Some(true)),
        // An Enter is counted before it is pressed.
        (&format!("before {enter}"), (true, 1), Some(true)),
        // Pressed, with an unknown result.
        (&format!("after {enter}"), (true, 1), None),
    ] {
        // In one step: the bridge calls tmux all the time.
        hop.ann.machine.write("dies.part", &format!("{dies}\n"));
        let path = |name| hop.ann.machine.path(name);
        fs::rename(path("dies.part"), path("dies")).unwrap();
        hop.dan.send("fox", "fox-ann", dies);
        hop.ann.bridge_dies().await;
        let flight = hop.flight().unwrap();
        let id = flight["id"].as_str().unwrap();
        let known = (flight["posted"].as_bool().unwrap(), flight["enters"].as_i64().unwrap());
        assert_eq!(known, noted, "{dies}: {flight}");
        if let Some(in_box) = in_box {
            let line = format!("[{id} from ");
            let is_in_box =
                || hop.ann.claude("fox").state()["box"].as_str().unwrap().contains(&line);
            if in_box {
                e2e::until(&format!("{dies}: it is in the box"), async || is_in_box()).await;
            }
            assert_eq!(is_in_box(), in_box, "{dies}");
            assert_eq!(hop.times("fox", id), 0, "{dies}");
        } else {
            hop.taken("fox", dies).await;
        }
        hop.goes_on_after(dies).await;
    }
    hop.nothing_happened("fox");
}

#[tokio::test]
async fn a_bridge_that_dies_during_a_post_loses_and_doubles_no_message() {
    for posted in [false, true] {
        let mut hop = Hop::with_channel().await;
        // Its MCP server is stopped, so a post is not answered.
        let state = hop.ann.claude("fox").state();
        let server = state["mcp"]["multiclaude-hybrid"]["pid"].as_i64().unwrap();
        let server = Pid::from_raw(i32::try_from(server).unwrap()).unwrap();
        kill_process(server, Signal::STOP).unwrap();
        let text = format!("posted: {posted}");
        hop.dan.send("fox", "fox-ann", &text);
        if posted {
            // The bridge has given up waiting for an answer.
            hop.held("handed over; its transcript does not have it yet").await;
        } else {
            e2e::eventually("a record", || std::future::ready(hop.flight())).await;
        }
        hop.ann.kill_bridge();
        let flight = hop.flight().unwrap();
        let id = flight["id"].as_str().unwrap();
        assert_eq!((&flight["carrier"], &flight["posted"]), (&json!("channel"), &json!(false)));
        assert_eq!(hop.times("fox", id), 0);
        if posted {
            // It continues, and makes the post.
            kill_process(server, Signal::CONT).unwrap();
            hop.taken("fox", &text).await;
        } else {
            // It dies: the session goes on without a channel.
            kill_process(server, Signal::KILL).unwrap();
        }
        hop.goes_on_after(&text).await;
    }
}
