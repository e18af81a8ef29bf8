//! The tools of our MCP server, called by an agent.

use super::Hop;
use e2e::process::{LIMIT, output};
use serde_json::{Value, json};

/// What a tool has answered.
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
    e2e::eventually("its sender sees it", 60, || async {
        hop.world.dan.receipt(&id).await.unwrap().acked_at
    })
    .await;
    assert_eq!(hop.call("list_messages", json!({})), json!([]));
    assert_eq!(hop.file("fox", &id)["status"], "acked");

    // To an agent of the same machine, as multiclaude does.
    let local = hop.call("send_message", json!({ "to": "default", "body": "here" }));
    assert_eq!(hop.ann.receives("default", "here").await["id"], local["id"]);
    let asked = hop.call("spawn_worker", json!({ "task": "fix the tests" }));
    assert_eq!(hop.call("list_workers", json!({}))[0]["id"], asked["id"]);
}

#[tokio::test]
async fn errors_of_tools_say_what_to_do() {
    let mut hop = Hop::with_channel().await;
    for (tool, arguments, text) in [
        ("send_message", json!({ "to": "fox-dan" }), "missing field `body`"),
        ("send_message", json!({ "to": "nobody-dan", "body": "x" }), "list_agents"),
        ("read_message", json!({ "id": "../../state" }), "list_messages"),
        ("ack_message", json!({ "id": "msg_1" }), "list_messages"),
        ("receipt", json!({ "id": "x" }), "is not the id of a message"),
    ] {
        let said = hop.refused(tool, arguments);
        assert!(said.contains(text), "{tool}: {said}");
    }
    hop.ann.kill_bridge();
    let said = hop.refused("list_agents", json!({}));
    assert!(said.contains("multiclaude-hybrid bridge run"), "{said}");
    // It connects again on its own.
    hop.ann.start_bridge(&[]);
    e2e::eventually("the tools work again", 60, || async {
        let result =
            hop.ann.claude("fox").call_tool("multiclaude-hybrid", "list_agents", json!({}));
        (result["result"]["isError"] == false).then_some(())
    })
    .await;
}

/// Speaks with the bridge's socket as a program of its own would.
const CLIENT: &str = r#"
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(30)
s.connect(os.environ["HOME"] + "/.multiclaude-hybrid/bridge/socket")
s.sendall((json.dumps({"hello": {"version": "0", "agent": sys.argv[1] or None, "can_post": True}}) + "\n").encode())
print(s.makefile().readline(), end="")
"#;

#[tokio::test]
async fn another_process_speaks_for_no_agent_but_the_one_it_belongs_to() {
    let hop = Hop::with_channel().await;
    hop.ann.machine.write("client.py", CLIENT);
    let asked = |directory: &std::path::Path, claimed: &str| {
        let mut command = hop.ann.machine.command("python3");
        command.arg(hop.ann.machine.path("client.py")).arg(claimed).current_dir(directory);
        let ran = output(&mut command, b"", LIMIT);
        serde_json::from_slice::<Value>(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    // In the worktree of fox: it is fox, and nobody else.
    let fox = hop.ann.worktree("fox");
    let welcome = asked(&fox, "");
    assert_eq!(welcome["welcome"]["local"], "fox", "{welcome}");
    let refused = asked(&fox, "default");
    let reason = refused["refused"]["reason"].as_str().unwrap();
    assert!(reason.contains("belongs to fox, not to default"), "{reason}");
    // Elsewhere it is nobody.
    let refused = asked(&hop.ann.machine.path(""), "");
    assert!(refused["refused"]["reason"].is_string(), "{refused}");
    // It got no channel: messages go on to the session of fox.
    hop.dan.send("fox", "fox-ann", "for the session");
    hop.taken("fox", "for the session").await;
    let socket = std::fs::metadata(hop.ann.machine.path(".multiclaude-hybrid/bridge/socket"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&socket.unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // No token is in what the MCP server can be seen with.
    let pid = hop.ann.claude("fox").state()["mcp"].clone();
    let text = pid.to_string();
    assert!(!text.contains("mcu_"), "{text}");
}

#[tokio::test]
async fn in_a_session_that_is_no_agent_nothing_is_offered() {
    let hop = Hop::with_channel().await;
    let mut command = hop.ann.machine.hybrid(&["mcp"]);
    let ran = output(&mut command, b"", LIMIT);
    assert!(ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("not an agent of a repo in hybrid mode"), "{said}");
}
