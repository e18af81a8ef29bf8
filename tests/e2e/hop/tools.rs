//! The tools of our MCP server, called by an agent.

use super::Hop;
use e2e::process::{LIMIT, output};
use serde_json::{Value, json};

/// The result of a successful tool call.
pub(super) fn value(result: &Value) -> Value {
    let result = &result["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
    assert_ne!(result["isError"], true, "{text}");
    serde_json::from_str(text).unwrap()
}

impl Hop {
    fn call(&self, tool: &str, arguments: Value) -> Value {
        value(&self.ann.claude("fox").call_tool("multiclaude-hybrid", tool, arguments))
    }

    fn refused(&self, tool: &str, arguments: Value) -> String {
        let result = self.ann.claude("fox").call_tool("multiclaude-hybrid", tool, arguments);
        assert_eq!(result["result"]["isError"], true, "{result}");
        result["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_agent_lists_agents_sends_a_message_gets_the_answer_and_acknowledges_it() {
    let hop = Hop::with_channel().await;
    let agents = hop.call("list_agents", json!({}));
    let agents = agents.as_array().unwrap();
    let named = |name: &str| agents.iter().find(|agent| agent["name"] == name).unwrap();
    assert_eq!(named("fox")["you"], true);
    assert_eq!(named("fox-dan")["owner"], "dan");

    let sent = hop.call("send_message", json!({ "to": "fox-dan", "body": "are you there?" }));
    let got = hop.dan.receives("fox", "are you there?").await;
    assert_eq!((got["from"].as_str(), &got["id"]), (Some("fox-ann"), &sent["id"]));
    let receipt = hop.call("receipt", json!({ "id": sent["id"] }));
    assert_eq!(receipt["to"], "fox-dan");
    hop.dan.send("fox", "fox-ann", "yes");
    let id = hop.taken("fox", "yes").await;
    let listed = hop.call("list_messages", json!({}));
    assert_eq!(listed[0]["id"], id.as_str(), "{listed}");
    assert_eq!(hop.call("read_message", json!({ "id": id }))["body"], "yes");
    hop.call("ack_message", json!({ "id": id }));
    e2e::eventually("its sender sees it", || async {
        hop.world.dan.receipt(&id).await.unwrap().acked_at
    })
    .await;
    assert_eq!(hop.call("list_messages", json!({})), json!([]));
    assert_eq!(hop.file("fox", &id)["status"], "acked");

    // To an agent of the same machine, as multiclaude does.
    let local = hop.call("send_message", json!({ "to": "default", "body": "here" }));
    assert_eq!(hop.ann.receives("default", "here").await["id"], local["id"]);
    let asked = hop.call("spawn_worker", json!({ "task": "fix the tests" }));
    assert!(asked["warning"].as_str().unwrap().contains("no runner"), "{asked}");
    assert_eq!(hop.call("list_workers", json!({}))[0]["id"], asked["id"]);
}

#[tokio::test]
async fn the_original_of_a_text_is_shown_or_a_note_says_that_it_is_gone() {
    let hop = Hop::with_channel().await;
    hop.dan.send("fox", "fox-ann", "red: \u{1b}[31m");
    let id = hop.taken("fox", "red: [31m").await;
    hop.seen(&id).await;
    let read = |original: bool| hop.call("read_message", json!({ "id": id, "original": original }));
    assert_eq!(
        (&read(true)["body"], &read(true)["note"]),
        (&json!("red: \u{1b}[31m"), &Value::Null)
    );
    // After 8 days it is removed.
    let stored = hop.inbox().join(format!("seen/{id}.json"));
    e2e::until("its stage is known", async || stored.exists()).await;
    std::fs::remove_file(stored).unwrap();
    let gone = read(true);
    assert_eq!(gone["body"], "red: [31m");
    assert!(gone["note"].as_str().unwrap().contains("is gone"), "{gone}");
    assert_eq!(read(false)["note"], Value::Null);
    // For a message from this machine, it is the text of its file.
    let local = hop.call("send_message", json!({ "to": "fox", "body": "to myself" }));
    let local = hop.call("read_message", json!({ "id": local["id"], "original": true }));
    assert_eq!((&local["body"], &local["note"]), (&json!("to myself"), &Value::Null));
}

#[tokio::test]
async fn errors_of_tools_have_advice() {
    let mut hop = Hop::with_channel().await;
    for (tool, arguments, text) in [
        ("send_message", json!({ "to": "fox-dan" }), "missing field `body`"),
        ("send_message", json!({ "to": "nobody-dan", "body": "x" }), "list_agents"),
        ("read_message", json!({ "id": "../../state" }), "list_messages"),
        ("ack_message", json!({ "id": "msg_1" }), "list_messages"),
        ("receipt", json!({ "id": "x" }), "is not the id of a message"),
        (
            "send_message",
            json!({ "to": "default", "body": "x".repeat(20_000) }),
            "at most 16000 bytes",
        ),
    ] {
        let error = hop.refused(tool, arguments);
        assert!(error.contains(text), "{tool}: {error}");
    }
    hop.ann.kill_bridge();
    e2e::until("the lost bridge is noticed", async || {
        hop.refused("list_agents", json!({})).contains("multiclaude-hybrid bridge run")
    })
    .await;
    // It connects again on its own.
    hop.ann.start_bridge(&[]);
    e2e::until("the tools work again", async || {
        let result =
            hop.ann.claude("fox").call_tool("multiclaude-hybrid", "list_agents", json!({}));
        result["result"]["isError"] == false
    })
    .await;
}

/// A foreign program that connects to the bridge's socket.
const CLIENT: &str = r#"
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(60)
s.connect(os.environ["HOME"] + "/.multiclaude-hybrid/bridge/socket")
s.sendall((json.dumps({"hello": {"version": "0", "agent": sys.argv[1] or None, "can_post": True}}) + "\n").encode())
answer = s.makefile().readline() or "null\n"
with open(sys.argv[2] + ".part", "w") as f: f.write(answer)
os.rename(sys.argv[2] + ".part", sys.argv[2])
"#;

impl Hop {
    /// The bridge's answer to a program that this line of shell starts in the window of fox,
    /// whose claude has ended.
    async fn answered(&self, name: &str, line: &str) -> Value {
        let path = self.ann.machine.path(name);
        let line = line
            .replace("CLIENT", "python3 ~/client.py")
            .replace("FILE", &path.display().to_string());
        let typed = self.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", &line, "Enter"]);
        assert!(typed.status.success(), "{typed:?}");
        e2e::eventually(name, || async { serde_json::from_slice(&std::fs::read(&path).ok()?).ok() })
            .await
    }
}

#[tokio::test]
async fn a_process_acts_only_for_the_agent_in_whose_window_it_was_started() {
    let hop = Hop::with_channel().await;
    hop.ann.machine.write("client.py", CLIENT);
    hop.connected("default").await;
    hop.ann.tmux(&["send-keys", "-t", "=mc-app:=fox", "/exit", "Enter"]);
    hop.claude_ended("fox").await;
    let welcome = hop.answered("a", "CLIENT '' FILE").await;
    assert_eq!(welcome["welcome"]["local"], "fox", "{welcome}");
    // Its claims and its directory are ignored.
    let refused = hop.answered("b", "CLIENT default FILE").await;
    let reason = refused["refused"]["reason"].as_str().unwrap();
    assert!(reason.contains("belongs to fox, not to default"), "{reason}");
    let elsewhere = hop.ann.worktree("default").display().to_string();
    let welcome = hop.answered("c", &format!("(cd {elsewhere} && CLIENT '' FILE)")).await;
    assert_eq!(welcome["welcome"]["local"], "fox", "{welcome}");
    // Outside of all windows it acts for no agent, also in a worktree.
    let detached = format!("(cd {elsewhere} && setsid -f python3 ~/client.py '' FILE)");
    assert_eq!(hop.answered("d", &detached).await, Value::Null);
    let mut command = hop.ann.machine.command("python3");
    let (client, file) = (hop.ann.machine.path("client.py"), hop.ann.machine.path("e"));
    command.arg(client).arg("").arg(&file).current_dir(hop.ann.worktree("fox"));
    assert!(output(&mut command, b"", LIMIT).status.success());
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), "null");
    // None of them took the place of a session's own MCP server.
    let socket = std::fs::metadata(hop.ann.machine.path(".multiclaude-hybrid/bridge/socket"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&socket.unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_mcp_server_has_no_token_in_its_environment_and_arguments() {
    let hop = Hop::with_channel().await;
    let state = hop.ann.claude("fox").state();
    let pid = state["mcp"]["multiclaude-hybrid"]["pid"].as_i64().unwrap();
    for file in ["environ", "cmdline"] {
        let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.is_empty() && !text.contains("mcu_") && !text.contains("mcs_"), "{text}");
    }
}

#[tokio::test]
async fn in_a_session_that_is_not_an_agent_the_mcp_server_ends_at_once() {
    let hop = Hop::with_channel().await;
    let mut command = hop.ann.machine.hybrid(&["mcp"]);
    let ran = output(&mut command, b"", LIMIT);
    assert!(ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(error.contains("not an agent of a repo in hybrid mode"), "{error}");
}
