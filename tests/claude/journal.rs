//! `$HOME/.claude-stand-in/<window>.jsonl`: one line for each thing that happened,
//! written at once, for tests to read.

use chrono::Utc;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// The log that tests read.
#[derive(Debug)]
pub(crate) struct Journal(Option<File>);

impl Journal {
    pub(crate) fn open(directory: &Path, window: &str) -> Self {
        let _ = fs::create_dir_all(directory);
        let path = directory.join(format!("{window}.jsonl"));
        Self(File::options().create(true).append(true).open(path).ok())
    }

    /// Writes `{"event": event, …fields}` with the time.
    pub(crate) fn write(&mut self, event: &str, fields: Value) {
        let mut line = json!({ "event": event });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        line["at_ms"] = Utc::now().timestamp_millis().into();
        line["pid"] = std::process::id().into();
        if let Some(file) = &mut self.0 {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}
