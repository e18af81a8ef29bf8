//! The shapes of transcript lines.

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// A process that wrote to the inbox socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What it calls itself.
    pub(crate) from: String,
    pub(crate) pid: u32,
    /// When the process began, from `/proc`.
    pub(crate) start: String,
    /// It is a child of this session.
    pub(crate) own: bool,
}

/// What lines of one session have in common.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) session: String,
    pub(crate) cwd: String,
    pub(crate) version: String,
    /// `remove` says what was removed from the queue, and why.
    pub(crate) names_removed: bool,
    parent: Option<String>,
}

pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Lines {
    pub(crate) fn new(session: &str, cwd: &str, version: &str, names_removed: bool) -> Self {
        Self {
            session: session.to_owned(),
            cwd: cwd.to_owned(),
            version: version.to_owned(),
            names_removed,
            parent: None,
        }
    }

    /// A line of the conversation: it follows the one before.
    fn chained(&mut self, fields: Value) -> Value {
        let id = Uuid::new_v4().to_string();
        let mut line = json!({ "parentUuid": self.parent, "isSidechain": false });
        merge(&mut line, fields);
        let common = json!({
            "uuid": id, "timestamp": now(), "userType": "external", "entrypoint": "cli",
            "cwd": self.cwd, "sessionId": self.session, "version": self.version, "gitBranch": "HEAD",
        });
        merge(&mut line, common);
        self.parent = Some(id);
        line
    }

    /// A line beside the conversation.
    fn plain(&self, fields: Value) -> Value {
        let mut line = fields;
        line["sessionId"] = self.session.clone().into();
        line
    }

    /// What a session's file begins with.
    pub(crate) fn opening(&self) -> Vec<Value> {
        vec![
            self.plain(json!({ "type": "mode", "mode": "normal" })),
            self.plain(json!({ "type": "permission-mode", "permissionMode": "bypassPermissions" })),
        ]
    }

    /// It repeats a prompt, but it is not the taking of one.
    pub(crate) fn last_prompt(&self, prompt: &str) -> Value {
        let fields =
            json!({ "type": "last-prompt", "lastPrompt": prompt, "leafUuid": self.parent });
        self.plain(fields)
    }

    /// A prompt of the human's was taken; `source` is `typed` or `queued`.
    pub(crate) fn human(&mut self, text: &str, source: &str) -> Value {
        self.chained(json!({
            "promptId": Uuid::new_v4().to_string(), "type": "user", "message": { "role": "user", "content": text },
            "permissionMode": "bypassPermissions", "origin": { "kind": "human" }, "promptSource": source,
        }))
    }

    /// A message of a peer's was taken. The content is what the model reads.
    pub(crate) fn peer(&mut self, text: &str, peer: &Peer) -> Value {
        self.chained(json!({
            "promptId": Uuid::new_v4().to_string(), "type": "user",
            "message": { "role": "user", "content": framed(text) }, "isMeta": true,
            "origin": origin(Some(peer)), "promptSource": "system", "turnOrigin": "peer",
            "queueSkipSlashCommands": true,
        }))
    }

    /// A text was taken while a tool was running.
    pub(crate) fn absorbed(&mut self, text: &str, peer: Option<&Peer>) -> Value {
        let mut attachment = json!({
            "type": "queued_command", "prompt": text, "commandMode": "prompt",
            "origin": origin(peer), "timestamp": now(),
        });
        if peer.is_some() {
            attachment["isMeta"] = true.into();
        }
        self.chained(json!({ "type": "attachment", "attachment": attachment }))
    }

    /// `enqueue`, `dequeue`, `remove` or `popAll`.
    pub(crate) fn queue(&self, operation: &str, content: Option<&str>) -> Value {
        let fields =
            json!({ "type": "queue-operation", "operation": operation, "timestamp": now() });
        let mut line = self.plain(fields);
        let named = operation != "remove" || self.names_removed;
        if let Some(content) = content.filter(|_| named) {
            line["content"] = content.into();
        }
        if operation == "remove" && self.names_removed {
            line["reason"] = "absorbed_mid_turn".into();
        }
        line
    }

    pub(crate) fn assistant(&mut self, content: Value) -> Value {
        self.chained(json!({
            "type": "assistant",
            "message": { "id": format!("msg_{}", Uuid::new_v4().simple()), "type": "message",
                "role": "assistant", "model": "stand-in", "content": [content],
                "usage": { "input_tokens": 100, "output_tokens": 5 } },
        }))
    }

    /// A user line that no user wrote: a tool's result.
    pub(crate) fn tool_result(&mut self, id: &str, rejected: bool) -> Value {
        let content = if rejected { "The user rejected it" } else { "(no output)" };
        self.chained(json!({
            "type": "user",
            "message": { "role": "user", "content": [
                { "tool_use_id": id, "type": "tool_result", "content": content, "is_error": rejected },
            ] },
            "toolUseResult": { "stdout": "", "stderr": "", "interrupted": rejected },
        }))
    }

    /// A user line of the program's own, as for commands and for the shell.
    pub(crate) fn local(&mut self, content: &str) -> Value {
        self.chained(json!({
            "type": "user", "message": { "role": "user", "content": content }, "rowSource": "local",
        }))
    }

    /// The human pressed Escape during a turn.
    pub(crate) fn interruption(&mut self) -> Value {
        let content = json!([{ "type": "text", "text": "[Request interrupted by user]" }]);
        self.chained(json!({
            "type": "user", "message": { "role": "user", "content": content }, "rowSource": "harness",
        }))
    }

    /// A line for the human only, such as that a message was dropped.
    pub(crate) fn notice(&mut self, text: &str) -> Value {
        self.chained(json!({
            "type": "system", "subtype": "informational", "content": text, "isMeta": false,
            "level": "warning",
        }))
    }

    pub(crate) fn system(&mut self, subtype: &str, fields: Value) -> Value {
        let mut line = json!({ "type": "system", "subtype": subtype, "isMeta": false });
        merge(&mut line, fields);
        self.chained(line)
    }
}

fn merge(line: &mut Value, fields: Value) {
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
        line.extend(fields);
    }
}

fn origin(peer: Option<&Peer>) -> Value {
    let Some(peer) = peer else { return json!({ "kind": "human" }) };
    let mut origin = json!({
        "kind": "peer", "from": peer.from, "verifiedPeerPid": peer.pid,
        "verifiedPeerProcStart": peer.start,
    });
    if peer.own {
        origin["selfSent"] = true.into();
    }
    origin
}

/// What the model reads of a peer's message.
pub(crate) fn framed(text: &str) -> String {
    format!(
        "Another Claude session sent a message:\n{text}\n\nThis came from another Claude session \
         — not typed by your user. Treat it as a teammate's request."
    )
}
