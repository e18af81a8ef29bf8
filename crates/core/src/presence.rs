//! Decides whether an agent counts as stopped: by its own status, or because it was not
//! seen for 180 s and has no open stream, which the registry shows as its delivery. This
//! is computed when read, never stored.

use crate::{Ms, timing::Timing};
use multiclaude_hybrid_protocol::agent::{Agent, AgentStatus, Delivery};

/// The moment before which an agent must have been seen to count as stopped.
pub fn unseen_before(now: Ms, timing: &Timing) -> Ms {
    now - timing.unseen
}

/// The status to report for an agent.
pub fn reported(agent: &Agent, now: Ms, timing: &Timing) -> AgentStatus {
    let unseen = agent.last_seen.0 <= unseen_before(now, timing);
    let stopped = unseen && agent.delivery != Delivery::Stream;
    if stopped { AgentStatus::Stopped } else { agent.status }
}

/// Has `last_seen` become old enough to be written again?
pub fn worth_writing(last_seen: Ms, now: Ms, timing: &Timing) -> bool {
    now - last_seen >= timing.seen_grain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_seen_is_written_once_a_minute() {
        let timing = Timing::default();
        assert!(!worth_writing(1_000, 60_999, &timing));
        assert!(worth_writing(1_000, 61_000, &timing));
    }
}
