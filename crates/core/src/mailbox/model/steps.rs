//! The events of a mailbox, in any order.

use multiclaude_hybrid_protocol::message::Report;
use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Configure { generation: u32, revision: u32, endpoint: bool },
    Close { generation: u32, revision: u32 },
    Send { key: Option<u8>, content: u8, sender: bool, ttl: i64 },
    Push(u8),
    OpenStream,
    CloseStream,
    Offer(Option<Report>),
    Report { pick: prop::sample::Index, report: Report },
    Alarm,
    Wait(i64),
    ClockBack(i64),
    CrashAfter(u32),
}

/// A report of the recipient's side.
fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        3 => Just(Report::DELIVERED),
        3 => Just(Report::ACKED),
        2 => Just(Report::SEEN),
        1 => Just(Report::ACKED.and_seen()),
    ]
}

/// Any of it.
pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1_u32..4, 1_u32..4, any::<bool>())
            .prop_map(|(generation, revision, endpoint)| Step::Configure { generation, revision, endpoint }),
        1 => (1_u32..4, 1_u32..4).prop_map(|(generation, revision)| Step::Close { generation, revision }),
        6 => (prop::option::of(0_u8..4), 0_u8..2, any::<bool>(), 1_i64..100)
            .prop_map(|(key, content, sender, ttl)| Step::Send { key, content, sender, ttl }),
        5 => any::<u8>().prop_map(Step::Push),
        1 => Just(Step::OpenStream),
        1 => Just(Step::CloseStream),
        4 => prop::option::of(report()).prop_map(Step::Offer),
        3 => (any::<prop::sample::Index>(), report()).prop_map(|(pick, report)| Step::Report { pick, report }),
        3 => Just(Step::Alarm),
        3 => (0_i64..60_000).prop_map(Step::Wait),
        1 => (0_i64..10_000).prop_map(Step::ClockBack),
        2 => (0_u32..6).prop_map(Step::CrashAfter),
    ]
}
