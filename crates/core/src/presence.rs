//! Whether an agent counts as running: its own word, until it is unseen for
//! 180 s. Computed when read, never stored.

use crate::{Ms, timing::Timing};
use multiclaude_hybrid_protocol::agent::AgentStatus;

/// The moment before which an agent must have been seen to count as stopped.
pub fn unseen_before(now: Ms, timing: &Timing) -> Ms {
    now - timing.unseen
}

/// The status to report for an agent that said `status` and was last seen then.
pub fn reported(status: AgentStatus, last_seen: Ms, now: Ms, timing: &Timing) -> AgentStatus {
    if last_seen <= unseen_before(now, timing) { AgentStatus::Stopped } else { status }
}

/// Has `last_seen` become old enough to be written again?
pub fn worth_writing(last_seen: Ms, now: Ms, timing: &Timing) -> bool {
    now - last_seen >= timing.seen_grain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_unseen_for_180_seconds_is_stopped() {
        let timing = Timing::default();
        let at = |now| reported(AgentStatus::Active, 1_000, now, &timing);
        assert_eq!(at(180_999), AgentStatus::Active);
        assert_eq!(at(181_000), AgentStatus::Stopped);
    }

    #[test]
    fn last_seen_is_written_once_a_minute() {
        let timing = Timing::default();
        assert!(!worth_writing(0, 59_999, &timing));
        assert!(worth_writing(0, 60_000, &timing));
    }
}
