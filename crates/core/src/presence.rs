//! Decides whether an agent counts as stopped: by its own status, or because it was not
//! seen for 180 s and has no open stream, which the registry shows as its delivery. This
//! is computed when read, never stored.

use crate::{Ms, timing::Timing};
use multiclaude_hybrid_protocol::agent::{AgentStatus, Delivery};

/// The moment before which an agent must have been seen to count as stopped.
pub fn unseen_before(now: Ms, timing: &Timing) -> Ms {
    now - timing.unseen
}

/// The status to report for an agent with this status of its own, last seen then.
pub fn reported(
    status: AgentStatus,
    delivery: Delivery,
    last_seen: Ms,
    now: Ms,
    timing: &Timing,
) -> AgentStatus {
    let unseen = delivery != Delivery::Stream && last_seen <= unseen_before(now, timing);
    if unseen { AgentStatus::Stopped } else { status }
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
        let at = |delivery, now| reported(AgentStatus::Active, delivery, 1_000, now, &timing);
        for delivery in [Delivery::Polling, Delivery::Webhook] {
            assert_eq!(at(delivery, 180_999), AgentStatus::Active);
            assert_eq!(at(delivery, 181_000), AgentStatus::Stopped);
        }
        assert_eq!(at(Delivery::Stream, 1_000_000_000), AgentStatus::Active);
        let own = reported(AgentStatus::Stopped, Delivery::Stream, 0, 1, &timing);
        assert_eq!(own, AgentStatus::Stopped);
    }

    #[test]
    fn last_seen_is_written_once_a_minute() {
        let timing = Timing::default();
        assert!(!worth_writing(0, 59_999, &timing));
        assert!(worth_writing(0, 60_000, &timing));
    }
}
