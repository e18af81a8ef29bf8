//! A session of the stand-in for Claude Code, as a test sees it from outside.

use crate::eventually;
use crate::machine::program;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The stand-in that runs in a window of tmux.
#[derive(Debug, Clone)]
pub struct Claude {
    home: PathBuf,
    window: String,
}

impl Claude {
    /// The session in a window, by the home it has and the window's name.
    pub fn at(home: &Path, window: &str) -> Self {
        Self { home: home.to_owned(), window: window.to_owned() }
    }

    /// The binary, to be linked as `claude`.
    pub fn binary() -> PathBuf {
        program("claude-stand-in")
    }

    /// Waits until it runs and answers.
    pub async fn runs(&self) {
        let what = format!("claude runs in {}", self.window);
        eventually(&what, || async { self.try_ask(&json!({ "state": true })) }).await;
    }

    /// The same as [`Claude::ask`]; nothing if no session answers.
    pub fn try_ask(&self, command: &Value) -> Option<Value> {
        // Through the directory's descriptor: the path may be too long for a socket.
        let directory = File::open(self.home.join(".claude-stand-in")).ok()?;
        let path = format!("/proc/self/fd/{}/{}.sock", directory.as_raw_fd(), self.window);
        let mut stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(90))).ok()?;
        stream.write_all(format!("{command}\n").as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Sends a command to the control socket and gives the answer.
    pub fn ask(&self, command: Value) -> Value {
        let answer = self.try_ask(&command);
        answer.unwrap_or_else(|| panic!("no answer to {command} in {}", self.window))
    }

    /// Its process; nothing if none answers.
    pub fn runs_as(&self) -> Option<i32> {
        let state = self.try_ask(&json!({ "state": true }))?;
        i32::try_from(state["pid"].as_i64()?).ok()
    }

    /// The contents of the box, the queue, and so on.
    pub fn state(&self) -> Value {
        self.ask(json!({ "state": true }))
    }

    /// Calls a tool of one of its MCP servers, and gives `result` or `error`.
    pub fn call_tool(&self, server: &str, name: &str, arguments: Value) -> Value {
        self.ask(json!({ "call_tool": { "server": server, "name": name, "arguments": arguments } }))
    }

    /// Everything that happened to the sessions in this window.
    pub fn events(&self) -> Vec<Value> {
        let path = self.home.join(format!(".claude-stand-in/{}.jsonl", self.window));
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The texts of the events of one kind.
    pub fn texts(&self, event: &str) -> Vec<String> {
        let events = self.events().into_iter().filter(|line| line["event"] == event);
        events.map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits for an event of this kind with this text in it.
    pub async fn event(&self, event: &str, text: &str) -> Value {
        let what = format!("{event} {text:?} in {}", self.window);
        eventually(&what, || async {
            self.events().into_iter().find(|line| {
                line["event"] == event
                    && (text.is_empty()
                        || line["text"].as_str().is_some_and(|all| all.contains(text)))
            })
        })
        .await
    }

    /// The lines of a session's transcript; a half line at the end is left out.
    pub fn transcript(&self, session: &str) -> Vec<Value> {
        let projects = fs::read_dir(self.home.join(".claude/projects"));
        let paths = projects.into_iter().flatten().flatten().map(|entry| entry.path());
        let path =
            paths.map(|path| path.join(format!("{session}.jsonl"))).find(|path| path.exists());
        let text = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
