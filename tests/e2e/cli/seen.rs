//! `receipt`, and `send --wait`.

use super::running::Running;
use super::{dans, on_machine, snapshot};
use crate::{agent, status_is};
use e2e::process::interrupt;
use e2e::{Answer, Coordinator, Machine, Sink, World, eventually};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use serde_json::{Value, json};

/// dan's machine, and ann's agent `desk`.
async fn with_desk() -> (Machine, World) {
    let (machine, world) = dans().await;
    world.ann.register(&agent("desk")).await.unwrap();
    (machine, world)
}

/// A `send` of `hello` to `desk` with these options.
fn start(machine: &Machine, world: &World, options: &[&str]) -> Running {
    Running::start(
        machine,
        &[&["send", "--repo", &world.repo], options, &["desk", "hello"]].concat(),
    )
}

/// The only message of `desk`, once it is there.
async fn only(world: &World) -> Message {
    eventually("the message", || async {
        world.ann.messages("desk", "").await.unwrap().into_iter().next()
    })
    .await
}

async fn report(world: &World, id: &str, report: &Value) {
    world.ann.patch_message(id, report).await.unwrap();
}

const STORED: &str = "stored, not on the recipient's machine yet";
const ON_THE_MACHINE: &str = "on the recipient's machine, not reported as seen yet";
const SEEN: &str = "seen by the agent, not acknowledged yet";

#[tokio::test]
async fn a_receipt_shows_the_four_times_and_claims_no_more_than_was_reported() {
    let (mut machine, world) = with_desk().await;
    let repo = ["--repo", world.repo.as_str()];
    let sent =
        |machine: &mut Machine| machine.run(&[&["send", "desk", "hello"][..], &repo].concat()).id();
    let proved = sent(&mut machine);
    let show =
        |machine: &mut Machine, id: &str| machine.run(&[&["receipt", id][..], &repo].concat());
    for body in [json!({"status": "delivered"}), json!({"seen": true}), json!({"status": "acked"})]
    {
        report(&world, &proved, &body).await;
        show(&mut machine, &proved);
    }
    let json = machine.run(&[&["--json", "receipt", &proved][..], &repo].concat()).json();
    for time in ["created_at", "delivered_at", "seen_at", "acked_at"] {
        assert!(json[time].is_string(), "{time}: {json}");
    }
    let unproved = sent(&mut machine);
    report(&world, &unproved, &json!({"status": "acked"})).await;
    show(&mut machine, &unproved);
    let json = machine.run(&[&["--json", "receipt", &unproved][..], &repo].concat()).json();
    assert!(json["acked_at"].is_string() && json["seen_at"].is_null(), "{json}");
    snapshot("receipts", &machine);
}

#[tokio::test]
async fn waiting_ends_when_the_agent_has_seen_it_and_says_how_far_it_has_come() {
    let (machine, world) = with_desk().await;
    let waiting = start(&machine, &world, &["--wait"]);
    waiting.until(STORED);
    let id = only(&world).await.id.to_string();
    report(&world, &id, &json!({"status": "delivered"})).await;
    waiting.until(ON_THE_MACHINE);
    report(&world, &id, &json!({"seen": true})).await;
    let ran = waiting.end().await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let row =
        |label: &str| ran.stdout.lines().find(|line| line.contains(label)).unwrap().to_owned();
    assert!(row("seen by the agent").ends_with(" ago"), "{ran:?}");
    assert!(row("acknowledged").ends_with("not yet"), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
}

#[tokio::test]
async fn waiting_for_the_acknowledgement_does_not_end_with_seen() {
    let (machine, world) = with_desk().await;
    let waiting = start(&machine, &world, &["--wait=acked"]);
    waiting.until(STORED);
    let id = only(&world).await.id.to_string();
    report(&world, &id, &json!({"seen": true})).await;
    waiting.until(SEEN);
    report(&world, &id, &json!({"status": "acked"})).await;
    let ran = waiting.end().await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(!ran.stdout.contains("not"), "{ran:?}");
}

#[tokio::test]
async fn an_acknowledgement_ends_the_waiting_for_seen_without_claiming_it() {
    let (machine, world) = with_desk().await;
    for options in [&["--wait=seen"][..], &["--wait", "--json"]] {
        let waiting = start(&machine, &world, options);
        let id = eventually("the message", || async {
            let waits = world.ann.messages("desk", "status=pending").await.unwrap();
            waits.into_iter().next().map(|message| message.id.to_string())
        })
        .await;
        report(&world, &id, &json!({"status": "acked"})).await;
        let ran = waiting.end().await.exits(0);
        if options.contains(&"--json") {
            assert_eq!(ran.stderr, "", "JSON alone");
            let json = ran.json();
            assert!(json["acked_at"].is_string() && json["seen_at"].is_null(), "{json}");
        } else {
            assert!(ran.stdout.contains("seen by the agent  not reported"), "{ran:?}");
        }
    }
}

#[tokio::test]
async fn when_the_time_to_wait_is_over_it_says_how_far_the_message_is_and_what_to_do() {
    let (mut machine, world) = with_desk().await;
    let args = ["send", "--repo", &world.repo, "--key", "k", "desk", "hello", "--wait"];
    let timed = [&args[..], &["--wait-timeout", "1s"]].concat();
    machine.run(&timed).exits(124);
    let id = only(&world).await.id.to_string();
    report(&world, &id, &json!({"status": "delivered"})).await;
    machine.run(&timed).exits(124);
    let ran = machine.run(&[&timed[..], &["--json"]].concat());
    assert_eq!(ran.json()["status"], "delivered");
    let failure: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(failure["error"]["exit"], 124);
    report(&world, &id, &json!({"seen": true})).await;
    machine.run(&timed).exits(0);
    snapshot("wait_timeout", &machine);
    // The same key sent one message.
    assert_eq!(world.ann.messages("desk", "").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_that_fails_ends_the_waiting_with_the_reason() {
    let (mut machine, world) = with_desk().await;
    let sink = Sink::start(vec![Answer::status(422)]).await;
    world.ann.update("desk", &json!({"endpoint": sink.url})).await.unwrap();
    let ran = start(&machine, &world, &["--json", "--wait"]).end().await.exits(9);
    assert_eq!(ran.json()["failure_reason"], "rejected");
    // And for people, here of one that has failed already.
    let key = ["send", "--repo", &world.repo, "--key", "k", "desk", "hello"];
    sink.answer_next([Answer::status(422)]);
    machine.clear();
    let id = machine.run(&key).id();
    status_is(&world, &id, MessageStatus::Failed).await;
    machine.run(&[&key[..], &["--wait"]].concat());
    snapshot("wait_failed", &machine);
}

#[tokio::test]
async fn an_interrupt_ends_the_waiting_for_a_message_which_stands() {
    let (machine, world) = with_desk().await;
    let waiting = start(&machine, &world, &["--wait"]);
    waiting.until(STORED);
    interrupt(waiting.child.id());
    let ran = waiting.end().await.exits(130);
    let id = only(&world).await.id.to_string();
    assert!(ran.stderr.contains(&format!("receipt {id}")), "{ran:?}");
}

#[tokio::test]
async fn waiting_goes_on_through_an_outage() {
    let (mut coordinator, world) = Coordinator::own().await;
    world.ann.register(&agent("desk")).await.unwrap();
    let machine = on_machine(&world, &world.tokens[0], "lap");
    let waiting = start(&machine, &world, &["--wait"]);
    waiting.until(STORED);
    coordinator.kill();
    waiting.until("waiting for the coordinator");
    coordinator.launch().await;
    let id = only(&world).await.id.to_string();
    report(&world, &id, &json!({"seen": true})).await;
    let ran = waiting.end().await;
    assert!(ran.code == 0 && ran.stdout.contains(&id), "{ran:?}");
}

#[tokio::test]
async fn goal_and_limit_of_waiting_are_checked_before_anything_is_sent() {
    let (mut machine, world) = with_desk().await;
    for options in [
        &["--wait=never"][..],
        &["--wait-timeout", "1m"],
        &["--wait", "--wait-timeout", "soon"],
        &["--wait", "--wait-timeout", "0s"],
    ] {
        let args = [&["send", "--repo", &world.repo], options, &["desk", "hello"]].concat();
        let ran = machine.run(&args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    }
    assert!(world.ann.messages("desk", "").await.unwrap().is_empty());
    // The text after `--wait` is text.
    let id = machine.run(&["send", "--repo", &world.repo, "--key", "k", "desk", "acked"]).id();
    report(&world, &id, &json!({"seen": true})).await;
    let args = ["send", "--repo", &world.repo, "--key", "k", "desk", "--wait", "acked"];
    machine.run(&args).exits(0);
    assert_eq!(only(&world).await.body, "acked");
}
