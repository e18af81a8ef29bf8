//! The stand-in for Claude Code, alone, in real panes of tmux: it behaves as the
//! real one was seen to, or the tests of the last hop prove nothing.

mod keyboard;
mod life;
mod peers;
mod turns;

use e2e::{Claude, Machine, eventually, until};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

const ID: &str = "11111111-1111-4111-8111-111111111111";

/// An MCP server that posts each text it is called with into its session's inbox.
const SERVER: &str = r#"
import json, os, socket, subprocess, sys
def post(sender, text, session):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ["CLAUDE_CODE_MESSAGING_SOCKET"])
        line = {"type": "user", "message": {"role": "user", "content": text}, "from": sender, "session_id": session}
        s.sendall((json.dumps(line) + "\n").encode())
        # Until the session has read it: it looks up the writer, which has to be there still.
        s.shutdown(socket.SHUT_WR)
        s.recv(1)
if sys.argv[1:]:
    while sys.argv[1] != "" and os.getppid() == int(sys.argv[1]): pass
    sys.exit(post(*sys.argv[2:]))
def answer(m):
    if m["method"] == "initialize":
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "post", "version": "1"}}}
    if m["method"] == "tools/list":
        return {"result": {"tools": [{"name": "post", "inputSchema": {"type": "object"}}]}}
    if m["method"] != "tools/call":
        return {"error": {"code": -32601, "message": "unknown"}}
    arguments = m["params"]["arguments"]
    for text in arguments.get("texts", []):
        message = [arguments["from"], text, arguments["session"]]
        how = arguments.get("how")
        if how == "grandchild":
            subprocess.run(["python3", __file__, "", *message])
        elif how == "daemon":
            subprocess.run(["sh", "-c", 'python3 "$0" $$ "$@" & exit 0', __file__, *message])
        else:
            post(*message)
    return {"result": {"content": [{"type": "text", "text": json.dumps({**os.environ, "PARENT": str(os.getppid())})}]}}
for line in sys.stdin:
    m = json.loads(line)
    if "id" in m:
        print(json.dumps({"jsonrpc": "2.0", "id": m["id"], **answer(m)}), flush=True)
"#;

struct Pane {
    machine: Machine,
    claude: Claude,
}

impl Pane {
    /// A session in a trusted folder that skips permissions, once it runs.
    async fn new(environment: &[(&str, &str)]) -> Self {
        let pane = Self::bare(environment, true);
        pane.start(&format!("--session-id {ID}")).await;
        pane
    }

    fn bare(environment: &[(&str, &str)], trusted: bool) -> Self {
        let mut machine = Machine::new();
        symlink(Claude::binary(), machine.path("bin/claude")).unwrap();
        // Inbox sockets that a killed session leaves behind go with the home.
        for name in ["TMUX_TMPDIR", "TMPDIR"] {
            let sockets = machine.path(name);
            fs::create_dir(&sockets).unwrap();
            machine.set(name, sockets.to_str().unwrap());
        }
        machine.set("TERM", "xterm-256color");
        machine.set("SHELL", "/bin/sh");
        // Enter works at once, except where a test is about that.
        machine.set("CLAUDE_STAND_IN_DEAF_MS", "0");
        for (name, value) in environment {
            machine.set(name, value);
        }
        machine.write("work/.keep", "");
        machine.write("server.py", SERVER);
        let server = json!({ "command": "python3", "args": [machine.path("server.py")] });
        let work = machine.path("work");
        let settings = json!({
            "mcpServers": { "post": server },
            "projects": { work.to_str().unwrap(): { "hasTrustDialogAccepted": trusted } },
        });
        machine.write(".claude.json", &settings.to_string());
        let project = json!({ "mcpServers": { "project": server } });
        machine.write("work/.mcp.json", &project.to_string());
        let claude = Claude::at(&machine.path(""), "fox");
        Self { machine, claude }
    }

    async fn start(&self, args: &str) {
        let work = self.machine.path("work");
        let claude = format!("exec claude --dangerously-skip-permissions {args}");
        let size = ["-x", "100", "-y", "30"];
        let window = ["new-session", "-d", "-s", "s", "-n", "fox", "-c", work.to_str().unwrap()];
        self.tmux(&[&window[..], &size, &[&claude]].concat());
        self.claude.runs().await;
    }

    fn tmux(&self, args: &[&str]) -> String {
        let done = self.machine.tmux(args);
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "=s:=fox"], keys].concat());
    }

    /// Pastes with brackets, and sends keys, in one call.
    fn paste(&self, text: &str, keys: &[&str]) {
        fs::write(self.machine.path("paste"), text).unwrap();
        let file = self.machine.path("paste");
        let mut args = vec!["load-buffer", "-b", "n", file.to_str().unwrap(), ";"];
        args.extend(["paste-buffer", "-p", "-d", "-b", "n", "-t", "=s:=fox"]);
        if !keys.is_empty() {
            args.extend([";", "send-keys", "-t", "=s:=fox"]);
            args.extend(keys);
        }
        self.tmux(&args);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-t", "=s:=fox"])
    }

    /// The text between the last two rules, if there is a box.
    fn drawn(&self) -> Option<String> {
        let screen = self.tmux(&["capture-pane", "-p", "-t", "=s:=fox"]);
        let lines: Vec<_> = screen.lines().collect();
        let rules: Vec<_> = (0..lines.len()).filter(|at| lines[*at].starts_with("────")).collect();
        let [.., first, last] = rules[..] else { return None };
        Some(lines[first + 1..last].join("\n"))
    }

    async fn shows(&self, text: &str) {
        let what = format!("{text:?} on the screen");
        until(&what, async || self.screen().contains(text)).await;
    }

    async fn state(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{what}: {}", self.claude.state());
        eventually(&what, || async { Some(self.claude.state()).filter(&check) }).await
    }

    /// Waits for a line of the transcript.
    async fn line(&self, session: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{what} in {:#?}", self.claude.transcript(session));
        eventually(&what, || async {
            self.claude.transcript(session).into_iter().find(|line| check(line))
        })
        .await
    }

    /// The operations on the queue, with what they say of the content.
    fn operations(&self, session: &str) -> Vec<(String, Value)> {
        let lines = self.claude.transcript(session).into_iter();
        let lines = lines.filter(|line| line["type"] == "queue-operation");
        lines
            .map(|line| (line["operation"].as_str().unwrap().to_owned(), line["content"].clone()))
            .collect()
    }

    fn registered(&self) -> Value {
        let pid = self.claude.state()["pid"].as_u64().unwrap();
        let path = self.machine.path(&format!(".claude/sessions/{pid}.json"));
        serde_json::from_slice(&fs::read(path).unwrap_or_default()).unwrap_or_default()
    }

    /// Writes to the inbox from this process, which is not a child of the session.
    fn post(&self, from: &str, text: &str, session: &str) {
        let path = self.claude.state()["socket"].as_str().unwrap().to_owned();
        let mut stream = UnixStream::connect(path).unwrap();
        let line = json!({ "type": "user", "message": { "role": "user", "content": text },
            "from": from, "session_id": session });
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Lets the MCP server, a child of the session, write to the inbox.
    fn post_by_child(&self, from: &str, texts: &[&str], session: &str) {
        let arguments = json!({ "from": from, "texts": texts, "session": session });
        let answer = self.claude.call_tool("post", "post", arguments);
        assert!(answer["result"].is_object(), "{answer}");
    }

    fn taken(&self) -> Vec<(String, String)> {
        let events = self.claude.events().into_iter().filter(|event| event["event"] == "taken");
        let field = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        events.map(|event| (field(&event, "text"), field(&event, "how"))).collect()
    }

    async fn server_ready(&self) {
        self.state("the servers are ready", |state| state["mcp"]["post"]["state"] == "ready").await;
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.claude.events().iter().for_each(|event| eprintln!("{event}"));
        }
        self.machine.tmux(&["kill-server"]);
    }
}

fn human(text: &str, source: &str) -> impl Fn(&Value) -> bool {
    let (text, source) = (text.to_owned(), source.to_owned());
    move |line| {
        line["type"] == "user"
            && line["message"]["content"] == *text
            && line["promptSource"] == *source
            && line["origin"]["kind"] == "human"
    }
}

fn peer(text: &str) -> impl Fn(&Value) -> bool {
    let text = format!("Another Claude session sent a message:\n{text}\n");
    move |line| {
        let content = line["message"]["content"].as_str().unwrap_or_default();
        line["type"] == "user"
            && line["isMeta"] == true
            && line["origin"]["kind"] == "peer"
            && line["promptSource"] == "system"
            && content.starts_with(&text)
    }
}

fn pair(operation: &str, content: impl Into<Value>) -> (String, Value) {
    (operation.to_owned(), content.into())
}
