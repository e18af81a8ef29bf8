//! Reports of a runner about a running worker: a line of progress, and the end of its log.

use super::claim::{LOG_MAX, PROGRESS_MAX, WorkerUpdate};
use crate::text::is_hidden;
use crate::{SpawnId, Timestamp};
use serde::{Deserialize, Serialize};

/// `GET …/workers/{id}/log`: the end of a worker's log, as its runner last sent
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkerLog {
    /// The request.
    pub id: SpawnId,
    /// The text, at most 64 KiB. It may hold control characters.
    pub log: String,
    /// When it was sent.
    pub updated_at: Timestamp,
    /// The runner has left out the beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl WorkerUpdate {
    /// The same with `text` as its progress: a control character becomes a space, and a long
    /// text is cut off.
    #[must_use]
    pub fn with_progress(mut self, text: &str) -> Self {
        let fitting = |c: char| if c.is_control() || is_hidden(c) { ' ' } else { c };
        self.progress = Some(text.trim().chars().map(fitting).take(PROGRESS_MAX).collect());
        self
    }

    /// The same with the end of `log`, at most [`LOG_MAX`] bytes of it. `whole`:
    /// there was nothing before it.
    #[must_use]
    pub fn with_log(mut self, log: &str, whole: bool) -> Self {
        let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_MAX));
        self.log_tail = log.get(start..).map(str::to_owned);
        self.log_truncated = start > 0 || !whole;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str, text: &str) -> Result<WorkerUpdate, Vec<String>> {
        crate::body::read(&serde_json::json!({ "lease_token": "t", field: text }))
    }

    #[test]
    fn progress_is_one_line_of_200_characters() {
        let longest = "\u{1F980}".repeat(PROGRESS_MAX);
        assert_eq!(read("progress", &longest).unwrap().progress, Some(longest.clone()));
        assert_eq!(read("progress", "").unwrap().progress.as_deref(), Some(""));
        for bad in [format!("{longest}x"), "two\nlines".into(), "\u{1b}[2J".into()] {
            assert_eq!(read("progress", &bad).unwrap_err(), ["progress"]);
        }
    }

    #[test]
    fn a_log_has_64_kib_and_may_hold_every_character() {
        let longest = "\0".repeat(LOG_MAX);
        assert_eq!(read("log_tail", &longest).unwrap().log_tail, Some(longest.clone()));
        assert_eq!(read("log_tail", &format!("{longest}x")).unwrap_err(), ["log_tail"]);
    }

    #[test]
    fn what_a_runner_has_is_made_to_fit() {
        let update = |log: &str, whole| WorkerUpdate::new("t").with_log(log, whole);
        let short = update("one\n", true);
        assert_eq!((short.log_tail.as_deref(), short.log_truncated), (Some("one\n"), false));
        assert!(update("one\n", false).log_truncated);
        // A crab has four bytes: where the cut would split one, it is left out.
        let long = update(&format!("{}x", "\u{1F980}".repeat(LOG_MAX / 4)), true);
        assert_eq!((long.log_tail.unwrap().len(), long.log_truncated), (LOG_MAX - 3, true));
        let line = WorkerUpdate::new("t").with_progress("\u{1b}[1m tests\n").progress.unwrap();
        assert_eq!(line, " [1m tests");
        let cut = WorkerUpdate::new("t").with_progress(&"\u{e9}".repeat(300)).progress.unwrap();
        assert_eq!(cut.chars().count(), PROGRESS_MAX);
        assert!(read("progress", &cut).is_ok());
    }
}
