//! Exact moments and small facts: when something is due, and the result of one call.

use super::values::{agent_id, draft, request, sender};
use crate::mailbox::{
    ConfigureRequest, Draft, Key, Mailbox, Next, Offer, Offering, Refused, Snapshot, Standing,
    Write, dedup,
};
use crate::outcome::Outcome;
use crate::timing::Timing;
use crate::{Ms, mailbox::Dedup};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::{FailureReason, MessageStatus, Report};

pub(super) const NOW: Ms = 1_700_000_000_000;
const URL: &str = "https://a.example/x";

/// An open mailbox whose registry entry is right, with or without an endpoint.
pub(super) fn mailbox(endpoint: Option<&str>) -> Mailbox {
    let (mut mailbox, _) = Mailbox::load(Snapshot::default(), Timing::default(), 0);
    mailbox.configure(request(1, 1, endpoint), Some("sealed".to_owned()), NOW).unwrap();
    if let Some(delivery) = mailbox.unreported_channel(NOW) {
        mailbox.channel_reported(delivery);
    }
    mailbox
}

pub(super) fn send(mailbox: &mut Mailbox, ttl_secs: i64) -> u64 {
    let draft = Draft { ttl_secs: Some(ttl_secs), sender: Some(sender(9)), ..draft() };
    mailbox.accept(draft, NOW, |_| String::new()).unwrap().0.id.seq()
}

fn answer(code: u16, retry_after_secs: Option<i64>) -> Outcome {
    Outcome::of(code, Report::DELIVERED, retry_after_secs)
}

#[test]
fn a_new_message_expires_its_time_to_live_after_now() {
    let mut mailbox = mailbox(None);
    send(&mut mailbox, 100);
    assert_eq!(mailbox.wake_at(NOW), Some(NOW + 100_000));
    assert_eq!(mailbox.due_to_fail(NOW + 99_999), None);
    let due = mailbox.due_to_fail(NOW + 100_000);
    assert_eq!(due, Some((FailureReason::Expired, vec![1])));
}

#[test]
fn an_acknowledged_row_is_kept_for_a_day_and_a_delivered_one_for_a_week() {
    for (report, days) in [(Report::ACKED, 1), (Report::DELIVERED, 7)] {
        let mut mailbox = mailbox(None);
        let seq = send(&mut mailbox, 100);
        let write = mailbox.report(seq, Standing::PENDING, report, NOW).unwrap().unwrap();
        let Write::Advance(advance) = write else { panic!("{write:?}") };
        assert_eq!(advance.purge_at, NOW + days * 86_400_000);
        // The full hour after it; then it has happened.
        assert!(mailbox.wake_at(NOW).unwrap() > advance.purge_at);
        mailbox.purged(None);
        assert_eq!(mailbox.wake_at(NOW), None);
    }
}

#[test]
fn older_coordinators_always_set_the_endpoint() {
    let mut text = serde_json::to_value(request(1, 1, Some(URL))).unwrap();
    text.as_object_mut().unwrap().remove("sets_endpoint");
    assert!(serde_json::from_value::<ConfigureRequest>(text).unwrap().sets_endpoint);
}

#[test]
fn a_secret_is_needed_for_another_url_or_agent_and_where_one_is_asked_for() {
    let mailbox = mailbox(Some(URL));
    let needs =
        |request: &ConfigureRequest, replace| mailbox.needs_secret(request, replace).unwrap();
    assert!(!needs(&request(1, 2, Some(URL)), false));
    assert!(needs(&request(1, 2, Some(URL)), true));
    assert!(needs(&request(1, 2, Some("https://b.example/")), false));
    let other = ConfigureRequest { agent_id: agent_id(2), ..request(1, 2, Some(URL)) };
    assert!(needs(&other, false));
    assert!(!needs(&request(1, 2, None), true));
}

#[test]
fn a_key_is_remembered_for_eight_days() {
    let mut mailbox = mailbox(None);
    let key = Some(Key { scope: "k".to_owned(), content: "c".to_owned() });
    let draft = Draft { key, ..draft() };
    let (_, writes) = mailbox.accept(draft, NOW, |_| String::new()).unwrap();
    let [Write::RememberKey(remembered), Write::Insert(_)] = writes.as_slice() else {
        panic!("{writes:?}")
    };
    assert_eq!(remembered.expires_at, NOW + 8 * 86_400_000);
}

#[test]
fn a_key_stands_for_its_first_content() {
    assert_eq!(dedup(None, "a"), Dedup::New);
    assert_eq!(dedup(Some(("a", false)), "b"), Dedup::New);
    assert_eq!(dedup(Some(("a", true)), "a"), Dedup::Same);
    assert_eq!(dedup(Some(("a", true)), "b"), Dedup::Mismatch);
}

#[test]
fn what_is_pushed_or_offered_does_not_fail_until_that_is_over() {
    let mut pushing = mailbox(Some(URL));
    send(&mut pushing, 10);
    send(&mut pushing, 10);
    let push = pushing.begin_push(NOW).unwrap();
    let late = NOW + 20_000;
    assert_eq!(pushing.due_to_fail(late), Some((FailureReason::Expired, vec![2])));
    pushing.abandon_push(&push);
    assert_eq!(pushing.due_to_fail(late), Some((FailureReason::Expired, vec![1, 2])));

    let mut offering = mailbox(None);
    send(&mut offering, 10);
    send(&mut offering, 10);
    offering.open_stream(None);
    let (Offering::Send(offer), _) = offering.begin_offer(NOW).unwrap() else { panic!() };
    assert_eq!(offer.until, NOW + 30_000);
    assert_eq!(offering.due_to_fail(offer.until - 1), Some((FailureReason::Expired, vec![2])));
    assert_eq!(offering.due_to_fail(offer.until), Some((FailureReason::Expired, vec![1, 2])));
}

#[test]
fn an_abandoned_push_leaves_another_one_alone() {
    let mut mailbox = mailbox(Some(URL));
    send(&mut mailbox, 10);
    let first = mailbox.begin_push(NOW).unwrap();
    mailbox.abandon_push(&first);
    let second = mailbox.begin_push(NOW).unwrap();
    assert_ne!(first, second, "each push has a number of its own");
    mailbox.abandon_push(&first);
    assert!(!mailbox.can_push(NOW), "the second one is under way");
    mailbox.abandon_push(&second);
    assert!(mailbox.can_push(NOW));
}

#[test]
fn a_push_that_is_refused_for_good_counts_only_under_its_own_configuration() {
    let refused = answer(400, None);
    for (replaced, rejected) in [(false, Some(1)), (true, None)] {
        let mut mailbox = mailbox(Some(URL));
        send(&mut mailbox, 10);
        let push = mailbox.begin_push(NOW).unwrap();
        if replaced {
            mailbox.configure(request(1, 2, Some(URL)), None, NOW).unwrap();
        }
        let finished = mailbox.finish_push(&push, refused, 0.0, NOW);
        assert_eq!(finished.rejected, rejected);
        let counted = |write: &Write| matches!(write, Write::Attempt { seq: 1, attempts: 1, .. });
        assert!(finished.writes.iter().any(counted), "{finished:?}");
    }
}

#[test]
fn a_message_to_be_pushed_wakes_the_object_at_its_retry_or_a_little_later() {
    let mut mailbox = mailbox(Some(URL));
    send(&mut mailbox, 1000);
    assert_eq!(mailbox.wake_at(NOW), Some(NOW + 5_000));
    let push = mailbox.begin_push(NOW).unwrap();
    let failed = answer(500, Some(60));
    mailbox.finish_push(&push, failed, 0.0, NOW);
    let next = mailbox.config().unwrap().endpoint.as_ref().unwrap().next_at.unwrap();
    mailbox.channel_reported(mailbox.unreported_channel(NOW).unwrap());
    assert_eq!(mailbox.wake_at(NOW), Some(next));
    assert!(!mailbox.can_push(next - 1) && mailbox.can_push(next));
    assert_eq!(mailbox.wake_at(next), Some(next + 5_000), "it is time now");
    let _ = mailbox.begin_push(next).unwrap();
    assert_eq!(mailbox.wake_at(next), Some(next + 5_000));
}

#[test]
fn a_stream_wakes_the_object_where_its_offer_ends_or_a_little_later() {
    let mut mailbox = mailbox(None);
    mailbox.open_stream(None);
    mailbox.channel_reported(mailbox.unreported_channel(NOW).unwrap());
    assert_eq!(mailbox.wake_at(NOW), None);
    send(&mut mailbox, 1000);
    assert_eq!(mailbox.wake_at(NOW), Some(NOW + 5_000));
    let (Offering::Send(offer), writes) = mailbox.begin_offer(NOW).unwrap() else { panic!() };
    assert!(writes.is_empty(), "nothing went unanswered before the first offer");
    assert_eq!(mailbox.wake_at(NOW), Some(NOW + 30_000));
    assert!(!mailbox.can_offer(offer.until - 1) && mailbox.can_offer(offer.until));
    assert!(mailbox.confirm(offer.seq, Report::DELIVERED, NOW));
    let marks = mailbox.take_marks();
    let [Write::Advance(mark)] = marks.as_slice() else { panic!("{marks:?}") };
    assert_eq!((mark.status, mark.attempts), (MessageStatus::Delivered, Some(1)));
}

#[test]
fn an_expired_message_is_not_pushed_or_offered() {
    let mut pushing = self::mailbox(Some(URL));
    send(&mut pushing, 10);
    assert!(pushing.can_push(NOW + 9_999) && !pushing.can_push(NOW + 10_000));
    let mut mailbox = mailbox(None);
    send(&mut mailbox, 10);
    mailbox.open_stream(Some(Offer { seq: 7, until: NOW, tries: 1 }));
    assert!(mailbox.can_offer(NOW + 9_999) && !mailbox.can_offer(NOW + 10_000));
}

#[test]
fn marks_of_pushes_wait_to_be_written_and_keep_their_place_for_the_next_load() {
    let mut mailbox = mailbox(Some(URL));
    assert_eq!((mailbox.pending_from(), mailbox.low_water()), (1, 0));
    for _ in 0..3 {
        send(&mut mailbox, 1000);
    }
    assert_eq!((mailbox.pending_from(), mailbox.low_water()), (1, 1));
    assert!(!mailbox.has_marks() && mailbox.needs(NOW).run);
    for _ in 0..3 {
        let push = mailbox.begin_push(NOW).unwrap();
        let good = answer(200, None);
        assert_eq!(mailbox.finish_push(&push, good, 0.0, NOW).rejected, None);
    }
    assert!(mailbox.has_marks() && !mailbox.needs(NOW).run);
    assert_eq!((mailbox.pending_from(), mailbox.low_water()), (4, 1));
    assert_eq!(mailbox.take_marks().len(), 3);
    assert_eq!((mailbox.has_marks(), mailbox.low_water()), (false, 3));
}

#[test]
fn the_registry_is_told_at_once_and_after_a_failure_at_the_next_try() {
    let mut mailbox = mailbox(None);
    mailbox.open_stream(None);
    assert_eq!(mailbox.wake_at(NOW), Some(NOW));
    assert_eq!(mailbox.next(NOW), Next::ReportChannel((Delivery::Stream, None)));
    mailbox.report_failed(NOW);
    assert_eq!(mailbox.wake_at(NOW), Some(NOW + Timing::default().outbox_retry));
    mailbox.channel_reported((Delivery::Stream, None));
    assert_eq!(mailbox.wake_at(NOW), None);
    assert_eq!(mailbox.last_presence(), None);
    mailbox.note_presence(NOW);
    assert_eq!(mailbox.last_presence(), Some(NOW));
}

#[test]
fn a_refusal_says_in_the_log_what_was_refused() {
    let cause = "the disk is full".to_owned();
    assert_eq!(Refused::Broken { cause }.to_string(), "the disk is full");
    assert_eq!(Refused::MailboxFull.to_string(), "MailboxFull");
}
