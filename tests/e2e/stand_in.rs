//! The stand-in for multiclaude, alone: it behaves as the real one was
//! seen to, or the tests of the bridge prove nothing.

use e2e::process::{LIMIT, output};
use e2e::{Machine, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;

struct Home(Machine);

impl Home {
    /// With a repo `app`; passes come every `loop_ms`.
    fn new(tmux: bool, loop_ms: &str) -> Self {
        let mut machine = Machine::new();
        machine.set("STAND_IN_LOOP_MS", loop_ms);
        machine.install_multiclaude(tmux);
        let home = Self(machine);
        home.ok("", &["start"]);
        home.ok("", &["repo", "init", "https://github.com/acme/app"]);
        home.ok("", &["worker", "create", "a task", "--repo", "app", "--name", "fox"]);
        home
    }

    fn run(&self, dir: &str, args: &[&str]) -> Output {
        let mut command = self.0.command(self.0.path("bin/multiclaude"));
        output(command.args(args).current_dir(self.0.path(dir)), b"", LIMIT)
    }

    fn ok(&self, dir: &str, args: &[&str]) -> String {
        let done = self.run(dir, args);
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn fox(&self, args: &[&str]) -> String {
        self.ok(".multiclaude/wts/app/fox", args)
    }

    fn messages(&self, name: &str) -> PathBuf {
        self.0.path(&format!(".multiclaude/messages/app/{name}"))
    }

    fn files(&self, name: &str) -> Vec<Value> {
        let entries = fs::read_dir(self.messages(name)).into_iter().flatten();
        entries.map(|entry| whole(&entry.unwrap().path())).collect()
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.path(".multiclaude/state.json")).unwrap()).unwrap()
    }

    fn pane(&self, window: &str) -> String {
        let target = format!("=mc-app:={window}");
        let seen = self.0.tmux(&["capture-pane", "-p", "-J", "-t", &target]);
        String::from_utf8(seen.stdout).unwrap()
    }

    /// Waits until claude runs in a window.
    async fn runs(&self, window: &str) {
        until("claude runs", async || self.pane(window).contains("claude --session-id")).await;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.run("", &["stop"]);
        self.0.tmux(&["kill-server"]);
    }
}

/// A message file. multiclaude writes it in place, so that one may be half written:
/// it is read again until it is whole.
fn whole(path: &Path) -> Value {
    let until = Instant::now() + LIMIT;
    loop {
        match serde_json::from_slice(&fs::read(path).unwrap()) {
            Ok(message) => return message,
            Err(error) if Instant::now() > until => panic!("{}: {error}", path.display()),
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[tokio::test]
async fn a_repo_starts_with_a_supervisor_a_merge_queue_and_a_workspace_called_default() {
    let home = Home::new(false, "100000");
    let state = home.state();
    let agents = state["repos"]["app"]["agents"].as_object().unwrap();
    let types: Vec<_> = agents
        .iter()
        .map(|(name, agent)| (name.as_str(), agent["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        types,
        [
            ("default", "workspace"),
            ("fox", "worker"),
            ("merge-queue", "merge-queue"),
            ("supervisor", "supervisor")
        ]
    );
    let clone = home.0.path(".multiclaude/repos/app");
    assert_eq!(agents["supervisor"]["worktree_path"], clone.to_str().unwrap());
    home.ok("", &["repo", "init", "https://github.com/acme/lib", "b", "--no-merge-queue"]);
    assert!(home.state()["repos"]["b"]["agents"]["merge-queue"].is_null());
}

#[tokio::test]
async fn any_recipient_is_accepted_and_a_sender_is_all_of_its_path() {
    let home = Home::new(false, "100000");
    home.fox(&["message", "send", "nobody", "two  words"]);
    let sent = home.files("nobody").remove(0);
    assert_eq!(
        (&sent["from"], &sent["body"], &sent["status"]),
        (&json!("fox"), &json!("two  words"), &json!("pending"))
    );
    fs::create_dir_all(home.0.path(".multiclaude/wts/app/fox/src/deep")).unwrap();
    home.ok(".multiclaude/wts/app/fox/src/deep", &["message", "send", "other", "x"]);
    assert_eq!(home.files("other").remove(0)["from"], "fox/src/deep");
    home.ok(".multiclaude/repos/app", &["message", "send", "third", "x"]);
    assert_eq!(home.files("third").remove(0)["from"], "supervisor");
}

#[tokio::test]
async fn a_file_that_is_born_delivered_is_left_alone_and_list_read_and_ack_work_on_it() {
    let home = Home::new(false, "50");
    let born = json!({"id": "msg-1", "from": "ann", "to": "fox", "timestamp": "2026-01-01T00:00:00Z",
        "body": "hello", "status": "delivered", "mood": 1});
    home.fox(&["message", "send", "fox", "a plain one"]);
    fs::write(home.messages("fox").join("msg-1.json"), born.to_string()).unwrap();
    // A pass has been when the plain one is delivered.
    until("a pass", async || home.files("fox").iter().all(|file| file["status"] == "delivered"))
        .await;
    assert!(home.files("fox").contains(&born));
    assert!(home.fox(&["message", "list"]).contains("[msg-1] From: ann - delivered - hello"));
    assert!(home.fox(&["message", "read", "msg-1"]).contains("hello"));
    home.fox(&["message", "ack", "msg-1"]);
    let acked = home.files("fox").into_iter().find(|file| file["id"] == "msg-1").unwrap();
    assert!(acked["status"] == "acked" && acked["acked_at"].is_string() && acked["mood"].is_null());
}

#[tokio::test]
async fn after_a_completion_directories_of_unknown_names_go_and_links_stay() {
    let home = Home::new(false, "100000");
    let target = home.0.path("target");
    fs::create_dir(&target).unwrap();
    fs::create_dir_all(home.messages("x").parent().unwrap()).unwrap();
    symlink(&target, home.messages("supervisor-ann")).unwrap();
    home.fox(&["message", "send", "supervisor-ann", "through the link"]);
    home.fox(&["message", "send", "nobody", "in vain"]);
    home.fox(&["agent", "complete", "--summary", "done"]);
    until("the directory is removed", async || !home.messages("nobody").exists()).await;
    assert!(home.messages("supervisor-ann").is_symlink());
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    let notice = home.files("supervisor").remove(0);
    assert_eq!(
        (&notice["from"], &notice["body"]),
        (&json!("fox"), &json!("Worker 'fox' has completed its task: a task"))
    );
    let state = home.state();
    assert!(state["repos"]["app"]["agents"]["fox"].is_null());
    let ended = &state["repos"]["app"]["task_history"][0];
    assert_eq!(
        (&ended["name"], &ended["status"], &ended["summary"]),
        (&json!("fox"), &json!("unknown"), &json!("done"))
    );
    // repo rm removes the link and leaves what it leads to.
    home.ok("", &["repo", "rm", "app"]);
    assert!(!home.messages("supervisor-ann").exists() && target.exists());
    // The clone stays, and is in the way of a new one.
    let again = home.run("", &["repo", "init", "https://github.com/acme/app"]);
    assert!(!again.status.success(), "{again:?}");
}

#[tokio::test]
async fn messages_are_pasted_into_windows_but_never_into_a_workspace() {
    let home = Home::new(true, "100000");
    home.runs("supervisor").await;
    home.fox(&["message", "send", "supervisor", "to the supervisor"]);
    home.fox(&["message", "send", "default", "to the workspace"]);
    until("it is pasted", async || {
        home.pane("supervisor").contains("claude received: 📨 Message from fox: to the supervisor")
    })
    .await;
    assert_eq!(home.files("default").remove(0)["status"], "pending");
}

#[tokio::test]
async fn a_shell_behind_a_dead_claude_executes_what_is_pasted() {
    let home = Home::new(true, "100000");
    home.runs("supervisor").await;
    home.0.tmux(&["send-keys", "-t", "=mc-app:=supervisor", "C-c"]);
    let marker = home.0.path("executed");
    let body = format!("x\ntouch {}", marker.display());
    home.fox(&["message", "send", "supervisor", &body]);
    until("the shell executes it", async || marker.exists()).await;
}

#[tokio::test]
async fn a_lost_session_brings_back_a_supervisor_with_its_definitions_and_no_other() {
    let home = Home::new(true, "100000");
    home.0.tmux(&["kill-session", "-t", "=mc-app"]);
    home.ok("", &["cleanup"]);
    let state = home.state();
    let names: Vec<_> =
        state["repos"]["app"]["agents"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["supervisor"]);
    assert!(state["repos"]["app"]["task_history"].is_null());
    let definitions = home.files("supervisor").remove(0);
    assert!(definitions["from"] == "daemon" && definitions["body"].as_str().unwrap().len() > 8000);
}
