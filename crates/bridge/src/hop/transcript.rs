//! Finds a message in the lines of Claude Code's transcripts. Pure.
//!
//! *Queued* and *taken* are different facts: only *taken* proves that the agent has the
//! message. Unknown lines are skipped.

use super::text::has_head;
use serde_json::Value;

/// How far a message has come in its agent's session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// The transcript does not have it.
    #[default]
    Nothing,
    /// A message without a text was queued since: perhaps this one.
    PerhapsQueued,
    /// Claude Code dropped a message of another session, and has not queued this one: it
    /// is lost.
    Dropped,
    /// It is in the queue, which is in memory only.
    Queued,
    /// The human has pulled it back from the queue into the box.
    PulledBack,
    /// The agent has taken it.
    Taken,
}

/// Follows one message through the transcripts of its session.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    id: String,
    by_channel: bool,
    /// How far it has come.
    pub(super) progress: Progress,
}

impl Trace {
    /// A message that was just handed over. `by_channel`: Claude Code may drop it.
    pub(super) fn new(id: &str, by_channel: bool) -> Self {
        Self { id: id.to_owned(), by_channel, progress: Progress::Nothing }
    }

    /// Reads a line.
    pub(super) fn read(&mut self, line: &str) {
        if self.progress == Progress::Taken || !self.may_concern(line) {
            return;
        }
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return;
        };
        self.progress = self.after(&line);
    }

    /// A quick check, because most lines are unrelated and long.
    fn may_concern(&self, line: &str) -> bool {
        line.contains(&self.id)
            || line.contains("\"queue-operation\"")
            || line.contains("\"type\":\"system\"")
    }

    fn after(&self, line: &Value) -> Progress {
        let text =
            |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let now = self.progress;
        match text("/type") {
            "user" if self.is_prompt(line, "/message/content") => Progress::Taken,
            "attachment"
                if text("/attachment/type") == "queued_command"
                    && self.is_prompt(line, "/attachment/prompt") =>
            {
                Progress::Taken
            }
            "queue-operation" => match (text("/operation"), line.get("content")) {
                ("enqueue", Some(Value::String(content))) if self.is_in(content) => {
                    Progress::Queued
                }
                // During a compaction the line has no text.
                ("enqueue", None) if matches!(now, Progress::Nothing | Progress::Dropped) => {
                    Progress::PerhapsQueued
                }
                // There is a line for each text that was typed; older versions have no text.
                ("popAll", Some(Value::String(content))) if self.is_in(content) => {
                    Progress::PulledBack
                }
                ("popAll", None) if now == Progress::Queued => Progress::PulledBack,
                _ => now,
            },
            "system"
                if self.by_channel
                    && now == Progress::Nothing
                    && text("/content").starts_with("Dropped a peer message") =>
            {
                Progress::Dropped
            }
            _ => now,
        }
    }

    fn is_prompt(&self, line: &Value, at: &str) -> bool {
        let prompt = line.pointer(at).and_then(prompt);
        prompt.is_some_and(|prompt| self.is_in(&prompt))
    }

    fn is_in(&self, prompt: &str) -> bool {
        has_head(prompt, &self.id)
    }
}

/// The text of a prompt: a string, or blocks of which some are text. The result of a tool
/// is not a prompt.
fn prompt(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => {
            let text = |block: &Value| {
                let kind = block.get("type").and_then(Value::as_str);
                let text = block.get("text").and_then(Value::as_str).map(str::to_owned);
                text.filter(|_| kind == Some("text"))
            };
            Some(blocks.iter().filter_map(text).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "[msg_1_fox from ann (owner ann)] please look";

    fn after(lines: &[Value]) -> Progress {
        let mut trace = Trace::new("msg_1_fox", true);
        for line in lines {
            trace.read(&line.to_string());
        }
        trace.progress
    }

    fn enqueue() -> Value {
        json!({"type": "queue-operation", "operation": "enqueue", "content": TEXT})
    }

    fn user(content: &Value) -> Value {
        json!({"type": "user", "message": {"role": "user", "content": content}})
    }

    #[test]
    fn a_message_counts_as_taken_only_when_it_is_a_prompt() {
        let peer = format!("Another Claude session sent a message:\n{TEXT}\n\nThis came from …");
        let absorbed = json!({"type": "attachment",
            "attachment": {"type": "queued_command", "prompt": TEXT}});
        let dequeue = json!({"type": "queue-operation", "operation": "dequeue"});
        let remove = json!({"type": "queue-operation", "operation": "remove", "content": TEXT,
            "reason": "absorbed_mid_turn"});
        for (lines, progress) in [
            (vec![user(&json!(TEXT))], Progress::Taken),
            (vec![user(&json!(peer))], Progress::Taken),
            (vec![user(&json!([{"type": "text", "text": TEXT}]))], Progress::Taken),
            (vec![enqueue()], Progress::Queued),
            (vec![enqueue(), dequeue.clone()], Progress::Queued),
            (vec![enqueue(), dequeue, user(&json!(TEXT))], Progress::Taken),
            (vec![enqueue(), remove.clone()], Progress::Queued),
            (vec![enqueue(), remove, absorbed], Progress::Taken),
        ] {
            assert_eq!(after(&lines), progress, "{lines:?}");
        }
    }

    #[test]
    fn other_lines_with_the_id_prove_nothing() {
        for line in [
            json!({"type": "assistant", "message": {"content": [{"type": "text", "text": TEXT}]}}),
            user(&json!([{"type": "tool_result", "content": TEXT}])),
            user(&json!("what is [msg_1_fox from ann]?")),
            user(&json!("[msg_10_fox from ann (owner ann)] another")),
            json!({"type": "queue-operation", "operation": "enqueue", "content": "msg_1_fox"}),
            json!({"type": "api-request-blob", "message": {"content": TEXT}}),
            json!({"type": "user"}),
            json!([1]),
        ] {
            assert_eq!(after(std::slice::from_ref(&line)), Progress::Nothing, "{line}");
        }
        let mut trace = Trace::new("msg_1_fox", true);
        trace.read("{\"type\":\"user\",\"message\":{\"content\":\"[msg_1_fox from");
        assert_eq!(trace.progress, Progress::Nothing);
    }

    #[test]
    fn pulled_back_and_dropped_messages_are_recognised() {
        let pop = json!({"type": "queue-operation", "operation": "popAll"});
        let dropped = json!({"type": "system", "content": "Dropped a peer message from x: …"});
        let unnamed = json!({"type": "queue-operation", "operation": "enqueue"});
        let popped =
            |text: &str| json!({"type": "queue-operation", "operation": "popAll", "content": text});
        for (lines, progress) in [
            (vec![enqueue(), pop.clone()], Progress::PulledBack),
            (vec![enqueue(), popped(TEXT)], Progress::PulledBack),
            // Another one was pulled back.
            (vec![enqueue(), popped("typed")], Progress::Queued),
            (vec![enqueue(), pop.clone(), user(&json!(TEXT))], Progress::Taken),
            (vec![pop.clone()], Progress::Nothing),
            (vec![dropped.clone()], Progress::Dropped),
            // Another one was dropped.
            (vec![enqueue(), dropped.clone()], Progress::Queued),
            (vec![dropped, enqueue()], Progress::Queued),
            (vec![unnamed.clone()], Progress::PerhapsQueued),
            (vec![unnamed, user(&json!(TEXT))], Progress::Taken),
        ] {
            assert_eq!(after(&lines), progress, "{lines:?}");
        }
    }
}
