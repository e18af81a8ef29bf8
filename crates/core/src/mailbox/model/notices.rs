//! Notices to senders: which messages, in which order, and when.

use super::moments::{NOW, mailbox, send};
use super::values::{name, sender};
use crate::mailbox::{Batch, Mailbox, Next, Noted, Snapshot, Stored, notice_text};
use crate::timing::Timing;
use multiclaude_hybrid_protocol::Repo;
use multiclaude_hybrid_protocol::message::FailureReason;

fn stored(seq: u64, n: u32) -> Stored {
    Stored { seq, uuid: format!("{seq:032x}"), sender: Some(sender(n)) }
}

#[test]
fn a_noted_message_fails_at_the_next_load_only_if_it_still_waits() {
    let note = |seq| Noted {
        seq,
        uuid: format!("{seq:032x}"),
        batch: 1,
        recipient: sender(9),
        reason: FailureReason::Expired,
    };
    let snapshot =
        Snapshot { last: Some((NOW, 2)), noted: vec![note(1), note(2)], ..Snapshot::default() };
    let (_, writes) = Mailbox::load(snapshot, Timing::default(), NOW);
    assert_eq!(writes, []);
}

#[test]
fn notices_go_out_in_turn_and_one_that_fails_lets_the_others_go_first() {
    let mut mailbox = mailbox(None);
    for n in [9, 8] {
        let seq = send(&mut mailbox, 10);
        mailbox.fail(vec![stored(seq, n)], FailureReason::Expired, NOW);
    }
    let first = mailbox.next_notice(NOW).unwrap();
    assert_eq!((first.batch, first.recipient.clone()), (1, sender(9)));
    assert_eq!(mailbox.wake_at(NOW), Some(NOW));
    mailbox.notice_failed(NOW);
    let retry = NOW + Timing::default().outbox_retry;
    assert_eq!(mailbox.wake_at(NOW), Some(retry));
    assert_eq!(mailbox.next_notice(retry - 1), None);
    assert_eq!(mailbox.next_notice(retry).unwrap().batch, 2);
    // Alone it keeps its turn.
    mailbox.notice_done(2);
    mailbox.notice_failed(retry);
    let again = retry + Timing::default().outbox_retry;
    assert_eq!(mailbox.next_notice(again).unwrap(), first);
    mailbox.notice_done(1);
    assert_eq!(mailbox.next(again), Next::Idle);
}

#[test]
fn each_sender_gets_one_notice_of_all_that_fails_at_once() {
    let mut mailbox = mailbox(None);
    let failing: Vec<_> = [9, 8, 9].map(|n| stored(send(&mut mailbox, 10), n)).into();
    mailbox.fail(failing, FailureReason::Expired, NOW);
    let mut noted = Vec::new();
    while let Some(batch) = mailbox.next_notice(NOW) {
        mailbox.notice_done(batch.batch);
        noted.push((batch.recipient, batch.uuids.len()));
    }
    assert_eq!(noted, [(sender(8), 1), (sender(9), 2)]);
}

#[test]
fn while_the_outbox_is_full_nothing_fails_and_nothing_wakes_for_it() {
    let mut mailbox = mailbox(None);
    let failing: Vec<_> = (0..1000).map(|_| stored(send(&mut mailbox, 10), 9)).collect();
    send(&mut mailbox, 10);
    let late = NOW + 20_000;
    mailbox.fail(failing, FailureReason::Expired, late);
    assert_eq!(mailbox.due_to_fail(late), None);
    mailbox.notice_failed(late);
    assert_eq!(mailbox.wake_at(late), Some(late + Timing::default().outbox_retry));
    mailbox.notice_done(1);
    assert!(mailbox.due_to_fail(late).is_some());
    assert_eq!(mailbox.wake_at(late), Some(late));
}

#[test]
fn a_notice_says_how_many_failed_why_and_which() {
    let batch = |reason| Batch {
        batch: 1,
        recipient: sender(9),
        reason,
        uuids: vec!["0a".to_owned(), "0b".to_owned()],
    };
    let repo = Repo::parse("acme/app").unwrap();
    for (reason, word) in [
        (FailureReason::Expired, "expired"),
        (FailureReason::AgentGone, "deregistered"),
        (FailureReason::Rejected, "refused"),
    ] {
        let text = notice_text(&repo, &name("fox"), &batch(reason));
        assert!(text.starts_with("2 of your messages to fox in acme/app failed"), "{text}");
        assert!(text.contains(word) && text.ends_with("\nmsg_0a_fox\nmsg_0b_fox"), "{text}");
    }
}
