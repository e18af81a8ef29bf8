//! The bodies that a runner sends: a claim, and updates under its lease; the log of a worker.

use super::request::{LABELS_MAX, LEASE_DEFAULT_SECS, LEASE_SECS, RESULT_MAX, SpawnStatus, sorted};
use crate::body::body;
use crate::text::is_hidden;
use crate::{AgentName, SpawnId, Timestamp};
use serde::{Deserialize, Serialize};

/// Characters that `progress` may have.
pub const PROGRESS_MAX: usize = 200;
/// Bytes that `log_tail` may have.
pub const LOG_MAX: usize = 64 * 1024;

body! {
    /// A claim by a runner.
    #[derive(Eq)]
    pub struct Claim {
        /// The runner's labels. It gets requests whose labels are all in this list.
        pub labels: Vec<String> = with_default(Vec::new(), list(LABELS_MAX, word(LABEL))),
        /// How long the runner leases the request, in seconds from now.
        pub lease_secs as "lease_seconds": i64 = with_default(LEASE_DEFAULT_SECS, integer(LEASE_SECS)),
    }
    check = |claim, _| Some(Claim { labels: sorted(claim.labels), ..claim });
}

impl Default for Claim {
    fn default() -> Self {
        Self { labels: Vec::new(), lease_secs: LEASE_DEFAULT_SECS }
    }
}

body! {
    /// Renews the lease, and reports on the worker.
    #[derive(Eq)]
    pub struct WorkerUpdate {
        /// `lease.token` of the answer to the claim.
        pub lease_token: String = required(text()),
        /// Renews for this long from now, in seconds.
        pub lease_secs as "lease_seconds": i64 = with_default(LEASE_DEFAULT_SECS, integer(LEASE_SECS)),
        /// The registered agent, once the worker has started.
        pub worker_name: Option<AgentName> = optional_or_empty(parsed()),
        /// `completed` or `failed` end it; `pending` gives it back, which a worker that has
        /// started allows with `retry` only. `in_progress` changes nothing.
        pub status: Option<SpawnStatus> = optional(parsed()),
        /// The worker's summary of what it did.
        pub summary: Option<String> = optional(text().bytes(RESULT_MAX)),
        /// Why it failed.
        pub failure_reason: Option<String> = optional(text().bytes(RESULT_MAX)),
        /// The worker's progress, in one line; an empty text removes the last one.
        pub progress: Option<String> = optional(text().chars(0, PROGRESS_MAX).one_line()),
        /// The end of the worker's log, at most 65536 bytes of UTF-8. It replaces the one
        /// before.
        pub log_tail: Option<String> = optional(text().bytes(LOG_MAX)),
        /// Was there more before `log_tail`?
        pub log_truncated: bool = flag(),
    }
    check = |update, _| {
        let status = update.status.filter(|status| *status != SpawnStatus::InProgress);
        Some(WorkerUpdate { status, ..update })
    };
}

impl WorkerUpdate {
    /// A renewal under `lease_token`, and nothing else.
    pub fn new(lease_token: &str) -> Self {
        Self {
            lease_token: lease_token.to_owned(),
            lease_secs: LEASE_DEFAULT_SECS,
            worker_name: None,
            status: None,
            summary: None,
            failure_reason: None,
            progress: None,
            log_tail: None,
            log_truncated: false,
        }
    }

    /// Gives the request back under `lease_token`, as if this claim had never
    /// been. Allowed until a worker has started, and later with `retry`. A
    /// repeat is refused with `lease_lost`, which means that it is done.
    pub fn give_back(lease_token: &str) -> Self {
        Self { status: Some(SpawnStatus::Pending), ..Self::new(lease_token) }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::read;

    #[test]
    fn a_lease_lasts_30_to_3600_seconds_900_unless_asked() {
        let of = |body| read::<Claim>(&body).map(|claim| claim.lease_secs);
        assert_eq!(of(serde_json::json!({})), Ok(900));
        assert_eq!(of(serde_json::json!({"lease_seconds": 30})), Ok(30));
        assert!(of(serde_json::json!({"lease_seconds": 29})).is_err());
        assert!(of(serde_json::json!({"lease_seconds": 3601})).is_err());
    }

    fn updated(field: &str, text: &str) -> Result<WorkerUpdate, Vec<String>> {
        read(&serde_json::json!({ "lease_token": "t", field: text }))
    }

    #[test]
    fn progress_is_one_line_of_200_characters() {
        let longest = "\u{1F980}".repeat(PROGRESS_MAX);
        assert_eq!(updated("progress", &longest).unwrap().progress, Some(longest.clone()));
        assert_eq!(updated("progress", "").unwrap().progress.as_deref(), Some(""));
        for bad in [format!("{longest}x"), "two\nlines".into(), "\u{1b}[2J".into()] {
            assert_eq!(updated("progress", &bad).unwrap_err(), ["progress"]);
        }
    }

    #[test]
    fn a_log_has_64_kib_and_may_hold_every_character() {
        let longest = "\0".repeat(LOG_MAX);
        assert_eq!(updated("log_tail", &longest).unwrap().log_tail, Some(longest.clone()));
        assert_eq!(updated("log_tail", &format!("{longest}x")).unwrap_err(), ["log_tail"]);
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
        assert!(updated("progress", &cut).is_ok());
    }
}
