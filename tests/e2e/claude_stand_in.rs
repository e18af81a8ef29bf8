//! The stand-in for Claude Code, alone, in real panes of tmux: it behaves as
//! `claude-code.md` says, or the tests of the last hop prove nothing.

use e2e::process::{LIMIT, output};
use e2e::{Claude, Machine, eventually};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;

const ID: &str = "11111111-1111-4111-8111-111111111111";

/// An MCP server that posts each text it is called with into its session's inbox.
const SERVER: &str = r#"
import json, os, socket, subprocess, sys
def post(sender, text, session):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ["CLAUDE_CODE_MESSAGING_SOCKET"])
        line = {"type": "user", "message": {"role": "user", "content": text}, "from": sender, "session_id": session}
        s.sendall((json.dumps(line) + "\n").encode())
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
        let done = output(self.machine.command("tmux").args(args), b"", LIMIT);
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
        eventually(&what, 30, || async { self.screen().contains(text).then_some(()) }).await;
    }

    async fn state(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{what}: {}", self.claude.state());
        eventually(&what, 30, || async { Some(self.claude.state()).filter(&check) }).await
    }

    /// Waits for a line of the transcript.
    async fn line(&self, session: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{what} in {:#?}", self.claude.transcript(session));
        eventually(&what, 30, || async {
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
        let mut command = self.machine.command("tmux");
        output(command.arg("kill-server"), b"", LIMIT);
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
    assert!(pane.screen().contains("\x1b[7mT\x1b[0;2m"), "{}", pane.screen());
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
        eventually("the box goes", 30, || async { pane.drawn().is_none().then_some(()) }).await;
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
async fn a_stashed_draft_comes_back_after_the_next_submit() {
    let pane = Pane::new(&[]).await;
    pane.keys(&["-l", "half typed"]);
    pane.state("a draft", |state| state["box"] == "half typed").await;
    pane.keys(&["C-s"]);
    pane.state("it is put aside", |state| state["box"] == "").await;
    pane.paste("a message", &["Enter"]);
    pane.claude.event("taken", "a message").await;
    pane.state("it is back", |state| state["box"] == "half typed").await;
    assert_eq!(pane.drawn().unwrap(), "❯\u{a0}half typed");
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
async fn a_search_or_the_transcript_has_no_box_though_the_sessions_file_says_idle() {
    let pane = Pane::new(&[]).await;
    for (key, name) in [("C-r", "search"), ("C-o", "transcript")] {
        pane.keys(&[key]);
        pane.state("it is open", |state| state["dialog"] == name).await;
        eventually("the box goes", 30, || async { pane.drawn().is_none().then_some(()) }).await;
        assert_eq!(pane.registered()["status"], "idle");
        pane.paste("lost", &["Enter"]);
        pane.claude.event("swallowed", "lost").await;
        pane.keys(&["Escape"]);
        pane.state("it is closed", |state| state["dialog"].is_null()).await;
    }
    assert!(pane.taken().is_empty());
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

#[tokio::test]
async fn sigterm_restores_the_terminal_and_removes_the_sessions_file() {
    let pane = Pane::bare(&[], true);
    let work = pane.machine.path("work");
    let shell = ["new-session", "-d", "-s", "s", "-n", "fox", "-c", work.to_str().unwrap(), "sh"];
    pane.tmux(&shell);
    pane.keys(&["claude --dangerously-skip-permissions; stty -a; echo ended", "Enter"]);
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
async fn a_burst_and_a_repetition_are_dropped_and_the_transcript_says_so_once() {
    let pane = Pane::new(&[]).await;
    pane.server_ready().await;
    pane.claude.ask(json!({ "turn_ms": 3_600_000, "start_turn": true }));
    pane.post_by_child("bob", &["same", "same"], ID);
    pane.claude.event("dropped", "same").await;
    let texts: Vec<String> = (0..45).map(|number| format!("burst {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    pane.post_by_child("ann", &texts, ID);
    // Slow machines may have refilled the allowance in the meantime.
    pane.claude.event("dropped", "burst 3").await;
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
    eventually("the server ends", 30, || async {
        (!Path::new("/proc").join(&server).exists()).then_some(())
    })
    .await;
    let left = fs::read_dir(pane.machine.path(".claude/sessions")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_only_queued_is_lost_when_a_killed_session_is_resumed() {
    let pane = Pane::new(&[("CLAUDE_STAND_IN_TURN_MS", "3600000")]).await;
    pane.paste("taken", &["Enter"]);
    pane.line(ID, "taken", human("taken", "typed")).await;
    pane.paste("only queued", &["Enter"]);
    pane.line(ID, "queued", |line| line["content"] == "only queued").await;
    let pid = pane.claude.state()["pid"].as_u64().unwrap();
    let file = pane.machine.path(&format!(".claude/sessions/{pid}.json"));
    output(pane.machine.command("kill").args(["-KILL", &pid.to_string()]), b"", LIMIT);
    eventually("it is dead", 30, || async {
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
    assert!(file.exists(), "the sessions file is left behind");
    let before = pane.claude.transcript(ID).len();
    pane.start(&format!("--resume {ID}")).await;
    pane.state("another process", |state| state["pid"] != pid && state["session"] == ID).await;
    assert_eq!(pane.claude.state()["queue"], json!([]));
    pane.paste("again", &["Enter"]);
    pane.line(ID, "it goes on in the same file", human("again", "typed")).await;
    assert!(pane.claude.transcript(ID).len() > before);
}
