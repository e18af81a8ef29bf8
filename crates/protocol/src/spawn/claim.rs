//! The bodies that a runner sends: a claim, and updates under its lease.

use super::request::{LABELS_MAX, LEASE_DEFAULT_SECS, LEASE_SECS, RESULT_MAX, SpawnStatus, sorted};
use crate::AgentName;
use crate::body::body;

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    #[test]
    fn a_lease_lasts_30_to_3600_seconds_900_unless_asked() {
        let of = |body| {
            Claim::read(serde_json::Value::to_string(&body).as_bytes())
                .map(|claim| claim.lease_secs)
        };
        assert_eq!(of(serde_json::json!({})), Ok(900));
        assert_eq!(of(serde_json::json!({"lease_seconds": 30})), Ok(30));
        assert!(of(serde_json::json!({"lease_seconds": 29})).is_err());
        assert!(of(serde_json::json!({"lease_seconds": 3601})).is_err());
    }
}
