//! Start and end: trust, MCP servers, signals, `--resume`.

use super::{ID, Pane, human};
use e2e::process::{LIMIT, output};
use e2e::until;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

#[tokio::test]
async fn enter_at_the_trust_dialog_exits_and_servers_start_only_after_yes() {
    let pane = Pane::bare(&[], false);
    pane.start("").await;
    pane.shows("Accessing workspace").await;
    assert_eq!(pane.claude.state()["mcp"], json!({}));
    assert!(pane.registered().is_null() && pane.drawn().is_none());
    pane.keys(&["Down", "Enter"]);
    pane.server_ready().await;
    assert_eq!(pane.registered()["status"], "idle");

    let pane = Pane::bare(&[], false);
    pane.start("").await;
    pane.paste("a message", &["Enter"]);
    let exit = pane.claude.event("exit", "").await;
    assert_eq!(exit["reason"], "trust");
    assert!(pane.claude.texts("started").len() == 1 && pane.taken().is_empty());
}

#[tokio::test]
async fn sigterm_restores_the_terminal_and_removes_the_sessions_file() {
    let pane = Pane::bare(&[], true);
    let work = pane.machine.path("work");
    let shell = ["new-session", "-d", "-s", "s", "-n", "fox", "-c", work.to_str().unwrap(), "sh"];
    pane.tmux(&shell);
    pane.keys(&["claude --dangerously-skip-permissions; stty -a; echo en''ded", "Enter"]);
    pane.claude.runs().await;
    let pid = pane.claude.state()["pid"].to_string();
    output(pane.machine.command("kill").arg(&pid), b"", LIMIT);
    assert_eq!(pane.claude.event("exit", "").await["reason"], "terminated");
    pane.shows("ended").await;
    let screen = pane.screen();
    assert!(screen.contains(" icanon") && screen.contains(" echo "), "{screen}");
    assert_eq!(pane.tmux(&["display", "-p", "-t", "=s:=fox", "#{alternate_on}"]).trim(), "0");
    assert_eq!(fs::read_dir(pane.machine.path(".claude/sessions")).unwrap().count(), 0);
}

#[tokio::test]
async fn mcp_servers_are_children_with_the_socket_in_their_environment() {
    let pane = Pane::new(&[]).await;
    let ready = |state: &Value| {
        ["post", "project"].iter().all(|name| state["mcp"][*name]["state"] == "ready")
    };
    let state = pane.state("both are ready", ready).await;
    assert_eq!(state["mcp"]["project"]["tools"][0]["name"], "post");
    let answer = pane.claude.call_tool("project", "post", json!({}));
    let environment = answer["result"]["content"][0]["text"].as_str().unwrap();
    let environment: Value = serde_json::from_str(environment).unwrap();
    assert_eq!(environment["CLAUDE_CODE_MESSAGING_SOCKET"], state["socket"]);
    assert_eq!(environment["CLAUDE_CODE_SESSION_ID"], ID);
    assert_eq!(environment["TMUX_PANE"], "%0");
    assert_eq!(environment["PARENT"], state["pid"].to_string());
    let server = state["mcp"]["project"]["pid"].to_string();
    pane.keys(&["/exit", "Enter"]);
    pane.claude.event("exit", "").await;
    until("the server ends", async || !Path::new("/proc").join(&server).exists()).await;
    let left = fs::read_dir(pane.machine.path(".claude/sessions")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_queued_prompt_is_lost_when_a_killed_session_is_resumed() {
    let pane = Pane::new(&[("CLAUDE_STAND_IN_TURN_MS", "3600000")]).await;
    pane.paste("taken", &["Enter"]);
    pane.line(ID, "taken", human("taken", "typed")).await;
    pane.paste("only queued", &["Enter"]);
    pane.line(ID, "queued", |line| line["content"] == "only queued").await;
    // The server of tmux lives on.
    pane.tmux(&["new-session", "-d", "-s", "other", "sleep 3600"]);
    let pid = pane.claude.state()["pid"].as_u64().unwrap();
    let file = pane.machine.path(&format!(".claude/sessions/{pid}.json"));
    output(pane.machine.command("kill").args(["-KILL", &pid.to_string()]), b"", LIMIT);
    until("it is dead", async || !Path::new(&format!("/proc/{pid}")).exists()).await;
    assert!(file.exists(), "the sessions file is left behind");
    let before = pane.claude.transcript(ID).len();
    pane.start(&format!("--resume {ID}")).await;
    pane.state("another process", |state| state["pid"] != pid && state["session"] == ID).await;
    assert_eq!(pane.claude.state()["queue"], json!([]));
    pane.paste("again", &["Enter"]);
    pane.line(ID, "it goes on in the same file", human("again", "typed")).await;
    assert!(pane.claude.transcript(ID).len() > before);
}
