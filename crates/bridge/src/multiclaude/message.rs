//! Message files, `messages/<repo>/<agent>/<id>.json`.

use crate::dirs::write_durably;
use chrono::{DateTime, SecondsFormat, Utc};
use multiclaude_hybrid_client::protocol::text::stripped;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The status of a message file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The daemon will paste it.
    #[default]
    Pending,
    /// The daemon ignores it; `message list`, `read` and `ack` work on it.
    Delivered,
    /// Its recipient has read it.
    Read,
    /// Its recipient has acknowledged it. Use `acked_at` instead: overlapping passes of
    /// the daemon overwrite one status with another.
    Acked,
    /// A status that a fork of multiclaude has added.
    #[serde(other)]
    Other,
}

/// A message file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LocalMessage {
    /// The file's name without `.json`.
    pub id: String,
    /// The sender, as multiclaude guesses: `<agent>/sub/dir` in a worktree.
    pub from: String,
    /// The recipient, as it was typed.
    pub to: String,
    /// When it was written, RFC 3339 with nanoseconds, in any zone.
    pub timestamp: String,
    /// The text.
    pub body: String,
    /// The status, as the daemon or the recipient has set it.
    pub status: Status,
    /// When it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_at: Option<String>,
}

impl LocalMessage {
    /// Reads a file; `None` if it does not exist, or is not complete yet.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When it was written, in nanoseconds since the epoch.
    pub fn nanos(&self) -> Option<i64> {
        DateTime::parse_from_rfc3339(&self.timestamp).ok()?.timestamp_nanos_opt()
    }

    /// A message for a local agent, with the status `delivered` from the beginning.
    pub fn delivered(id: &str, from: &str, to: &str, body: &str, at_ms: i64) -> Self {
        let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default();
        Self {
            id: id.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            timestamp: at.to_rfc3339_opts(SecondsFormat::Nanos, true),
            body: stripped(body).into_owned(),
            status: Status::Delivered,
            acked_at: None,
        }
    }

    /// Writes the file `<id>.json` into `dir`, readable by the user only. The draft's name
    /// does not end in `.json`, so the daemon ignores it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        write_durably(&dir.join(format!("{}.json", self.id)), &text, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_file_is_neither_a_message_nor_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        assert_eq!(LocalMessage::read(&path).unwrap(), None);
        let whole = LocalMessage::delivered("m", "a", "b", "x", 1_700_000_000_123);
        whole.write(dir.path()).unwrap();
        assert_eq!(LocalMessage::read(&path).unwrap(), Some(whole.clone()));
        let text = fs::read(&path).unwrap();
        for cut in 0..text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            assert_eq!(LocalMessage::read(&path).unwrap(), None, "{cut}");
        }
        assert_eq!(whole.nanos(), Some(1_700_000_000_123_000_000));
    }

    #[test]
    fn files_of_multiclaude_are_read_even_with_unknown_fields_and_statuses() {
        let text = r#"{"id": "msg-8f639e3d-6d11", "from": "fox/src", "to": "ann", "body": "hi",
            "timestamp": "2026-01-28T16:14:09.123456789-07:00", "status": "pending", "mood": 1}"#;
        let message: LocalMessage = serde_json::from_str(text).unwrap();
        assert_eq!(
            (message.status, message.nanos()),
            (Status::Pending, Some(1_769_642_049_123_456_789))
        );
        let strange = text.replace("pending", "snoozed");
        assert_eq!(serde_json::from_str::<LocalMessage>(&strange).unwrap().status, Status::Other);
    }

    #[test]
    fn characters_that_control_a_terminal_are_stripped() {
        let body = "a\u{1b}[31mb\r\nc\td\u{9b}\u{202e}e\u{0}\u{61c}\u{200b}\u{e0041}";
        assert_eq!(LocalMessage::delivered("m", "a", "b", body, 0).body, "a[31mb\nc\tde");
    }
}
