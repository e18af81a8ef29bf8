//! The limits of workers.

use multiclaude_hybrid_client::protocol::spawn::SpawnRequest;

/// The controllers of control groups, and the limit that each enforces.
pub(super) const LIMITS: [(&str, &str); 3] =
    [("memory", "memory"), ("cpu", "cpu"), ("pids", "processes")];

/// The limits of every worker.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long it may run, unless its request asks for less.
    pub timeout_secs: u64,
    /// Bytes of output that are kept.
    pub output: u64,
    /// Bytes that its directory may take.
    pub disk: u64,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

impl Limits {
    /// How long this request may run: the `timeout_secs` of its metadata, if that is less
    /// than the runner's limit.
    pub(super) fn timeout_of(&self, request: &SpawnRequest) -> u64 {
        let asked = request.metadata.get("timeout_secs").and_then(|secs| secs.parse().ok());
        asked.map_or(self.timeout_secs, |asked: u64| asked.clamp(1, self.timeout_secs))
    }
}
