//! How far a message has come, and how a report moves it.

use multiclaude_hybrid_protocol::message::{MessageStatus, Report};

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Its status.
    pub status: MessageStatus,
    /// Is it proven that the agent received it?
    pub seen: bool,
}

impl Standing {
    /// Stored, and nothing was reported yet.
    pub const PENDING: Self = Self { status: MessageStatus::Pending, seen: false };
    /// The recipient's side has taken it, and reported nothing else.
    pub const DELIVERED: Self = Self { status: MessageStatus::Delivered, seen: false };
    /// It will not be delivered.
    pub const FAILED: Self = Self { status: MessageStatus::Failed, seen: false };
}

/// Moves a message forward. *Seen* implies *delivered*, and only a report of it makes a
/// message seen.
///
/// `Ok(None)`: the report changes nothing; `Err`: it would move the message back, or the
/// message has failed.
pub fn transition(current: Standing, report: Report) -> Result<Option<Standing>, MessageStatus> {
    use MessageStatus::{Acked, Delivered, Pending};
    let status = match (current.status, report.status.unwrap_or(current.status)) {
        (Pending, Pending) if report.seen => Delivered,
        (Pending, Pending) => Pending,
        (Pending | Delivered, Delivered) => Delivered,
        (Pending | Delivered | Acked, Acked) => Acked,
        _ => return Err(current.status),
    };
    let next = Standing { status, seen: current.seen || report.seen };
    Ok((next != current).then_some(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageStatus::{Acked, Delivered, Failed, Pending};

    const REPORTS: [Report; 5] = [
        Report::DELIVERED,
        Report::ACKED,
        Report::SEEN,
        Report::DELIVERED.and_seen(),
        Report::ACKED.and_seen(),
    ];

    fn at(status: MessageStatus, seen: bool) -> Standing {
        Standing { status, seen }
    }

    #[test]
    fn seen_is_delivered_at_least_and_an_acknowledgement_alone_proves_nothing() {
        let pending = Standing::PENDING;
        for (current, report, wanted) in [
            (pending, Report::SEEN, Some(at(Delivered, true))),
            (pending, Report::from(Pending).and_seen(), Some(at(Delivered, true))),
            (pending, Report::ACKED, Some(at(Acked, false))),
            (pending, Report::ACKED.and_seen(), Some(at(Acked, true))),
            (at(Delivered, false), Report::SEEN, Some(at(Delivered, true))),
            (at(Delivered, true), Report::DELIVERED, None),
            (at(Delivered, true), Report::ACKED, Some(at(Acked, true))),
            (at(Acked, false), Report::SEEN, Some(at(Acked, true))),
            (at(Acked, true), Report::ACKED.and_seen(), None),
        ] {
            assert_eq!(transition(current, report), Ok(wanted), "{current:?} {report:?}");
        }
    }

    #[test]
    fn a_failed_message_takes_no_report_and_none_goes_back() {
        for report in REPORTS {
            assert_eq!(transition(Standing::FAILED, report), Err(Failed), "{report:?}");
        }
        assert_eq!(transition(at(Acked, false), Report::DELIVERED.and_seen()), Err(Acked));
        assert_eq!(transition(at(Delivered, true), Pending.into()), Err(Delivered));
    }

    #[test]
    fn statuses_move_forward_only() {
        let all = [Pending, Delivered, Acked, Failed];
        let changes: Vec<_> = all
            .iter()
            .flat_map(|from| all.map(|to| (*from, to)))
            .filter(|(from, to)| matches!(transition(at(*from, false), (*to).into()), Ok(Some(_))))
            .collect();
        assert_eq!(changes, [(Pending, Delivered), (Pending, Acked), (Delivered, Acked)]);
        let repeats = all.map(|status| transition(at(status, false), status.into()).is_ok());
        assert_eq!(repeats, [true, true, true, false]);
    }

    #[test]
    fn a_report_that_was_taken_changes_nothing_when_it_is_repeated() {
        for status in [Pending, Delivered, Acked] {
            for (seen, report) in REPORTS.map(|report| [(false, report), (true, report)]).concat() {
                let current = at(status, seen && status != Pending);
                if let Ok(next) = transition(current, report) {
                    assert_eq!(transition(next.unwrap_or(current), report), Ok(None), "{report:?}");
                }
            }
        }
    }
}
