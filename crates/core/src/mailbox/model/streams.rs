//! Single courses of events with a stream, and with signs that the holder is present.

use super::steps::Step;
use super::world::{World, open_world, send};
use crate::mailbox::Offering;
use crate::outcome::Outcome;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::Report;

#[test]
fn while_a_stream_lives_nothing_is_pushed_and_afterwards_it_is() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    send(&mut world);
    assert!(!world.mailbox.can_push(world.now) && world.mailbox.can_offer(world.now));
    let shown = |world: &World| world.mailbox.unreported_channel(world.now).map(|(mode, _)| mode);
    assert_eq!(shown(&world), Some(Delivery::Stream));
    world.mailbox.close_stream();
    assert!(world.mailbox.can_push(world.now) && !world.mailbox.can_offer(world.now));
    assert_eq!(shown(&world), None);
}

#[test]
fn a_silent_client_gets_the_same_message_three_times_and_is_hung_up_on() {
    let mut world = World::new();
    world.step(Step::Configure { generation: 1, revision: 1, endpoint: false });
    world.mailbox.open_stream(None);
    world.alarm();
    send(&mut world);
    send(&mut world);
    for _ in 0..3 {
        world.step(Step::Offer(None));
        assert!(world.mailbox.begin_offer(world.now + 29_999).is_none());
        assert_eq!(world.mailbox.wake_at(world.now), Some(world.now + 30_000));
        world.now += 30_000;
    }
    assert_eq!(world.offered, [1, 1, 1]);
    let (next, _) = world.mailbox.begin_offer(world.now).unwrap();
    assert_eq!(next, Offering::HangUp);
    assert_eq!(world.mailbox.pending(), 2);
}

#[test]
fn beside_an_endpoint_one_offer_without_an_answer_is_enough() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    send(&mut world);
    world.step(Step::Offer(None));
    assert!(world.mailbox.begin_offer(world.now + 29_999).is_none());
    world.now += 30_000;
    let (next, _) = world.mailbox.begin_offer(world.now).unwrap();
    assert_eq!(next, Offering::HangUp);
    assert_eq!(world.mailbox.begin_push(world.now).unwrap().attempt, 2);
}

#[test]
fn beside_an_endpoint_that_is_gone_there_are_three_offers() {
    let mut world = open_world();
    send(&mut world);
    world.step(Step::Push(4));
    world.mailbox.open_stream(None);
    for _ in 0..3 {
        world.step(Step::Offer(None));
        world.now += 30_000;
    }
    assert_eq!(world.offered, [1, 1, 1]);
    assert_eq!(world.mailbox.begin_offer(world.now).unwrap().0, Offering::HangUp);
}

#[test]
fn a_stream_waits_for_the_push_under_way_and_a_push_for_no_offer() {
    let mut world = open_world();
    send(&mut world);
    let push = world.mailbox.begin_push(world.now).unwrap();
    world.mailbox.open_stream(None);
    assert!(!world.mailbox.can_offer(world.now));
    let taken = Outcome::of(200, Report::DELIVERED, None);
    world.mailbox.finish_push(&push, taken, 0.5, world.now);
    send(&mut world);
    world.step(Step::Offer(Some(Report::ACKED)));
    assert_eq!(world.offered, [2]);
    assert_eq!(world.mailbox.pending(), 0);
}

#[test]
fn a_stream_ends_with_its_incarnation_and_an_offer_survives_sleep() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    send(&mut world);
    let (next, _) = world.mailbox.begin_offer(world.now).unwrap();
    let Offering::Send(offer) = next else { panic!() };
    world.reload();
    world.mailbox.open_stream(Some(offer));
    assert!(!world.mailbox.can_offer(world.now), "offered twice");
    world.step(Step::Configure { generation: 2, revision: 1, endpoint: false });
    assert!(world.mailbox.unreported_channel(world.now).is_none());
    assert!(!world.mailbox.confirm(offer.seq, Report::ACKED, world.now));
}

#[test]
fn the_holder_is_there_for_180_seconds_after_a_sign_and_while_its_stream_lives() {
    let mut world = open_world();
    assert!(!world.mailbox.holder_is_present(world.now));
    world.mailbox.note_presence(world.now);
    assert!(world.mailbox.holder_is_present(world.now + 179_999));
    assert!(!world.mailbox.holder_is_present(world.now + 180_000));
    world.mailbox.open_stream(None);
    assert!(world.mailbox.holder_is_present(world.now + 1_000_000_000));
    // A sign of an earlier incarnation is none of the next.
    world.mailbox.note_presence(world.now);
    world.step(Step::Configure { generation: 2, revision: 1, endpoint: false });
    assert!(!world.mailbox.holder_is_present(world.now) && world.mailbox.last_presence().is_none());
    world.mailbox.note_presence(world.now);
    world.step(Step::Close { generation: 2, revision: 2 });
    assert!(!world.mailbox.holder_is_present(world.now));
}

#[test]
fn signs_are_reported_to_the_registry_once_a_minute_and_not_while_a_stream_lives() {
    let mut world = open_world();
    assert_eq!(world.mailbox.unreported_presence(world.now), None);
    let first = world.now;
    world.mailbox.note_presence(first);
    assert_eq!(world.mailbox.unreported_presence(first), Some(first));
    world.mailbox.report_failed(first);
    assert_eq!(world.mailbox.unreported_presence(first), None, "D1 is away");
    assert_eq!(world.mailbox.unreported_presence(first + 5_000), Some(first));
    world.mailbox.presence_reported(first);
    world.mailbox.note_presence(first + 59_999);
    assert_eq!(world.mailbox.unreported_presence(first + 59_999), None);
    world.mailbox.note_presence(first + 60_000);
    assert_eq!(world.mailbox.unreported_presence(first + 60_000), Some(first + 60_000));
    world.mailbox.open_stream(None);
    assert_eq!(world.mailbox.unreported_presence(first + 60_000), None);
}
