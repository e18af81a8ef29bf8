//! What Enter does with the box, and what commands do.

use crate::dialog::{Dialog, Kind};
use crate::draft::Draft;
use crate::queue::Queued;
use crate::session::Session;
use crate::turn::Turn;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// Commands that the menu offers, the first match first.
pub(crate) const COMMANDS: [&str; 8] =
    ["/clear", "/compact", "/config", "/exit", "/help", "/model", "/quit", "/rewind"];

/// Those that the menu shows for a draft.
pub(crate) fn matches(draft: &str) -> Vec<&'static str> {
    if !draft.starts_with('/') || draft.contains(char::is_whitespace) {
        return Vec::new();
    }
    COMMANDS.into_iter().filter(|command| command.starts_with(draft)).collect()
}

/// Whether Enter takes it for a command; a path is none.
pub(crate) fn is_command(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.strip_prefix('/').is_some_and(|name| !name.contains('/'))
}

impl Session {
    /// Enter, where nothing swallows it.
    pub(crate) fn submit(&mut self) {
        let draft = std::mem::take(&mut self.draft);
        self.notice = None;
        if draft.shell {
            self.execute(draft.text());
        } else if draft.text().trim().is_empty() {
            // The grey suggestion is sent as if it had been typed.
            match self.suggestion.take().filter(|_| draft.is_empty()) {
                Some(suggestion) => self.prompt(&suggestion),
                None => return,
            }
        } else if is_command(draft.text()) {
            let text = matches(draft.text()).first().map_or(draft.text(), |command| *command);
            self.submit_command(text);
        } else {
            self.prompt(&draft.expanded());
        }
        self.unstash();
    }

    /// A prompt of the human's: taken by an idle session, queued by a busy one.
    pub(crate) fn prompt(&mut self, text: &str) {
        let queued = Queued { text: text.to_owned(), peer: None };
        if self.is_free() {
            self.begin(&queued, "typed");
        } else {
            self.enqueue(queued);
        }
    }

    /// To the end of the queue. During a compaction the line does not say what the
    /// human wrote.
    pub(crate) fn enqueue(&mut self, queued: Queued) {
        let compacting = matches!(self.turn, Some(Turn::Compaction { .. }));
        let content = Some(queued.text.as_str()).filter(|_| !compacting || queued.peer.is_some());
        let line = self.lines.queue("enqueue", content);
        self.open();
        self.write(&line);
        self.note("queued", json!({ "text": queued.text, "peer": queued.peer.is_some() }));
        self.queue.push(queued);
    }

    /// Shell mode: recorded, not run.
    fn execute(&mut self, command: &str) {
        self.note("executed", json!({ "text": command }));
        self.open();
        for content in [
            format!("<bash-input>{command}</bash-input>"),
            "<bash-stdout></bash-stdout><bash-stderr></bash-stderr>".to_owned(),
        ] {
            let line = self.lines.local(&content);
            self.write(&line);
        }
        self.history.push(format!("! {command}"));
        if self.is_free() {
            self.start_turn();
        }
    }

    fn submit_command(&mut self, text: &str) {
        let waits = text.starts_with("/clear") || text.starts_with("/compact");
        if waits && self.turn.is_some() {
            self.enqueue(Queued { text: text.to_owned(), peer: None });
        } else {
            self.command(text);
        }
    }

    pub(crate) fn command(&mut self, text: &str) {
        self.note("command", json!({ "text": text }));
        let name = text.split_whitespace().next().unwrap_or_default();
        match name {
            "/clear" => self.clear(),
            "/compact" => self.compact(Duration::from_millis(300)),
            "/exit" | "/quit" => self.over = Some("command"),
            "/model" => self.dialogs.push_back(Dialog::new(Kind::Picker)),
            "/help" => self.dialogs.push_back(Dialog::new(Kind::View("help"))),
            "/config" => self.dialogs.push_back(Dialog::new(Kind::View("config"))),
            "/rewind" => self.dialogs.push_back(Dialog::new(Kind::Rewind)),
            _ => self.tell(&format!("Unknown command: {name}")),
        }
    }

    /// `/clear`: another session id and another file, in the same process.
    fn clear(&mut self) {
        self.become_another(Uuid::new_v4().to_string());
        self.history = vec!["❯ /clear".to_owned()];
        self.opened = true;
        let opening = self.lines.opening().into_iter().next();
        let command = "<command-name>/clear</command-name>\n            \
            <command-message>clear</command-message>\n            <command-args></command-args>";
        let mut caveat = self.lines.local("<local-command-caveat>…</local-command-caveat>");
        caveat["isMeta"] = true.into();
        let line = self.lines.local(command);
        let output = json!({ "content": "<local-command-stdout></local-command-stdout>" });
        let result = self.lines.system("local_command", output);
        for line in opening.into_iter().chain([caveat, line, result]) {
            self.write(&line);
        }
        self.note("cleared", json!({}));
    }

    /// Puts a text into the box, as if it had been typed before.
    pub(crate) fn set_draft(&mut self, text: &str) {
        self.draft = Draft::of(text);
    }
}
