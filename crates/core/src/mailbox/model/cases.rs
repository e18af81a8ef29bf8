//! Single courses of events, each with one right end.

use super::steps::Step;
use super::values::{draft, request};
use super::world::{World, open_world, send};
use crate::mailbox::{CAPACITY, Config, ConfigureRequest, Draft, Kind, Next, Refused, Standing};
use crate::outcome::{ErrorClass, Outcome};
use crate::registry::Version;
use crate::secrets;
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::{MessageStatus, Report};

#[test]
fn an_unconfigured_mailbox_is_not_found_and_writes_nothing() {
    let mut world = World::new();
    send(&mut world);
    assert!(world.store.rows.is_empty());
    assert_eq!(world.mailbox.wake_at(0), None);
}

#[test]
fn ten_thousand_may_wait_and_only_a_notice_comes_after() {
    let mut world = open_world();
    for _ in 0..CAPACITY {
        send(&mut world);
    }
    let mut accept =
        |is_notice| world.mailbox.accept(Draft { is_notice, ..draft() }, 0, |_| String::new());
    assert_eq!(accept(false).unwrap_err(), Refused::MailboxFull);
    assert!(accept(true).is_ok());
}

#[test]
fn the_step_belongs_to_the_endpoint_and_one_success_resets_it() {
    let mut world = open_world();
    send(&mut world);
    send(&mut world);
    let mut waits = Vec::new();
    for _ in 0..7 {
        world.step(Step::Push(2));
        let next = world.mailbox.config().unwrap().endpoint.as_ref().unwrap().next_at.unwrap();
        assert!(world.mailbox.begin_push(next - 1).is_none());
        waits.push((next - world.now) / 1000);
        world.now = next;
    }
    assert_eq!(waits, [5, 30, 120, 600, 3600, 3600, 3600]);
    world.step(Step::Push(0));
    assert_eq!(world.mailbox.config().unwrap().endpoint.as_ref().unwrap().step, 0);
    world.step(Step::Push(0));
    assert_eq!(world.mailbox.pending(), 0);
}

#[test]
fn an_endpoint_that_is_gone_rests_until_it_is_set_again() {
    let mut world = open_world();
    send(&mut world);
    world.step(Step::Push(4));
    world.now += 100 * 24 * 3_600_000;
    assert!(world.mailbox.begin_push(world.now).is_none());
    world.now -= 100 * 24 * 3_600_000;
    assert!(world.mailbox.unreported_channel(0).unwrap().1.unwrap().starts_with("endpoint_gone"));
    // A renewal that names no endpoint, a rotated secret.
    for (revision, secret) in [(1, None), (2, None), (3, Some("rotated"))] {
        configure(&mut world, revision, "https://a.example/", false, secret);
        assert!(world.mailbox.begin_push(world.now).is_none(), "{revision}");
        assert!(
            world.mailbox.unreported_channel(0).unwrap().1.unwrap().starts_with("endpoint_gone")
        );
    }
    configure(&mut world, 3, "https://a.example/", true, None);
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn an_endpoint_that_is_gone_is_back_with_another_url_or_a_good_test() {
    let gone = || {
        let mut world = open_world();
        send(&mut world);
        world.step(Step::Push(4));
        assert!(world.mailbox.begin_push(world.now).is_none());
        world
    };
    let mut world = gone();
    configure(&mut world, 2, "https://b.example/", false, Some("another"));
    assert!(world.mailbox.begin_push(world.now).is_some());
    let mut world = gone();
    let writes = world.mailbox.endpoint_works(Version { generation: 1, revision: 1 });
    world.execute(writes);
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn a_stream_is_reported_to_the_registry_again_after_another_url_was_set() {
    let mut world = open_world();
    world.mailbox.open_stream(None);
    let delivery = world.mailbox.unreported_channel(world.now).unwrap();
    assert_eq!(delivery.0, Delivery::Stream);
    let writes = world.mailbox.channel_reported(delivery);
    world.execute(writes);
    assert!(world.mailbox.unreported_channel(world.now).is_none());
    // The same URL again: the registry still shows the stream.
    configure(&mut world, 2, "https://a.example/", true, Some("another"));
    assert!(world.mailbox.unreported_channel(world.now).is_none());
    // With another one its row says webhook.
    configure(&mut world, 3, "https://b.example/", true, Some("third"));
    assert_eq!(world.mailbox.unreported_channel(world.now).unwrap().0, Delivery::Stream);
}

/// A configuration of the first incarnation, as the registry would ask for it.
fn configure(world: &mut World, revision: u32, url: &str, sets: bool, secret: Option<&str>) {
    let request = ConfigureRequest { sets_endpoint: sets, ..request(1, revision, Some(url)) };
    let writes = world.mailbox.configure(request, secret.map(str::to_owned), world.now).unwrap();
    world.execute(writes);
}

#[test]
fn a_late_answer_to_an_old_configuration_says_nothing_about_the_new_one() {
    let mut world = open_world();
    send(&mut world);
    let push = world.mailbox.begin_push(world.now).unwrap();
    world.step(Step::Configure { generation: 1, revision: 2, endpoint: true });
    let gone = Outcome::Gone(ErrorClass::Status(410));
    world.mailbox.finish_push(&push, gone, 0.5, world.now);
    assert!(!world.mailbox.config().unwrap().endpoint.as_ref().unwrap().gone);
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn a_replaced_secret_signs_for_24_hours_and_a_new_incarnation_knows_none_of_it() {
    let mut world = open_world();
    let request = |generation| request(generation, 9, Some("https://a.example/"));
    let writes = world.mailbox.configure(request(1), Some("second".into()), world.now).unwrap();
    world.execute(writes);
    let sealed = |world: &World, now| -> Vec<_> {
        let endpoint = world.mailbox.config().unwrap().endpoint.clone().unwrap();
        secrets::valid(&endpoint.secrets, now).map(|held| held.sealed.clone()).collect()
    };
    let day = 24 * 3_600_000;
    assert_eq!(sealed(&world, world.now + day - 1), ["second", "sealed"]);
    assert_eq!(sealed(&world, world.now + day), ["second"]);
    let writes = world.mailbox.configure(request(2), Some("third".into()), world.now).unwrap();
    world.execute(writes);
    assert_eq!(sealed(&world, world.now), ["third"]);
}

#[test]
fn a_repeat_of_the_configuration_in_force_changes_nothing_and_tries_at_once() {
    let mut world = open_world();
    send(&mut world);
    world.step(Step::Push(2));
    assert!(world.mailbox.begin_push(world.now).is_none());
    world.step(Step::Configure { generation: 1, revision: 1, endpoint: true });
    assert!(world.mailbox.begin_push(world.now).is_some());
}

#[test]
fn an_endpoint_s_answer_counts_even_if_another_report_came_first() {
    use MessageStatus::{Acked, Delivered};
    for (first, answer, status, seen) in [
        (Report::ACKED, Report::DELIVERED, Acked, false),
        (Report::ACKED, Report::SEEN, Acked, true),
        (Report::DELIVERED, Report::DELIVERED, Delivered, false),
        (Report::DELIVERED, Report::ACKED, Acked, false),
        (Report::DELIVERED, Report::SEEN, Delivered, true),
        (Report::DELIVERED.and_seen(), Report::ACKED, Acked, true),
    ] {
        let mut world = open_world();
        send(&mut world);
        let push = world.mailbox.begin_push(world.now).unwrap();
        let reported = world.mailbox.report(1, Standing::PENDING, first, world.now);
        world.execute(vec![reported.unwrap().unwrap()]);
        world.mailbox.finish_push(&push, Outcome::of(200, answer, None), 0.5, world.now);
        let marks = world.mailbox.take_marks();
        assert_eq!(marks.is_empty(), answer == Report::DELIVERED, "a mark is a row");
        world.execute(marks);
        let wanted = Standing { status, seen };
        assert_eq!(world.store.rows[&1].standing, wanted, "{first:?} {answer:?}");
    }
}

#[test]
fn expired_messages_fail_before_one_is_pushed_and_pushes_come_before_notices() {
    let mut world = open_world();
    world.step(Step::Send { key: None, content: 0, sender: true, ttl: 1 });
    send(&mut world);
    world.now += 1_000;
    assert!(matches!(world.mailbox.next(world.now), Next::Fail(_, seqs) if seqs == [1]));
    let writes = match world.mailbox.next(world.now) {
        Next::Fail(reason, seqs) => {
            world.mailbox.fail(world.store.stored(&seqs), reason, world.now)
        }
        other => panic!("{other:?}"),
    };
    world.execute(writes);
    assert_eq!(world.mailbox.next(world.now), Next::Push);
    world.step(Step::Push(0));
    assert!(matches!(world.mailbox.next(world.now), Next::Notify(batch) if batch.uuids.len() == 1));
    world.alarm();
    assert_eq!(world.mailbox.next(world.now), Next::Idle);
    world.mailbox.note_presence(world.now);
    assert_eq!(world.mailbox.next(world.now), Next::ReportPresence(world.now));
    world.mailbox.presence_reported(world.now);
    assert_eq!(world.mailbox.next(world.now + 9 * 24 * 3_600_000), Next::Purge);
}

#[test]
fn a_mailbox_keeps_its_kind_if_an_older_coordinator_does_not_say_it() {
    let mut world = World::new();
    let request = request(1, 1, Some("https://a.example/"));
    let first = ConfigureRequest { kind: Some(Kind::Spawns), ..request.clone() };
    world.mailbox.configure(first, None, 0).unwrap();
    world.mailbox.configure(request, None, 0).unwrap();
    assert_eq!(world.mailbox.kind(), Kind::Spawns);
    // The registry has no entry of it.
    assert_eq!(world.mailbox.unreported_channel(0), None);
    let config = world.mailbox.config().unwrap();
    let mut row = serde_json::to_value(config).unwrap();
    row.as_object_mut().unwrap().remove("kind");
    assert_eq!(serde_json::from_value::<Config>(row).unwrap().kind, Kind::Agent);
}
