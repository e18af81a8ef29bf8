//! *Seen*: the agent itself has taken the message, and its side has said so.

use crate::{agents, code, fields, message, two_agents};
use e2e::process::{LIMIT, output};
use e2e::{Answer, Coordinator, Options, Sink, World, eventually};
use multiclaude_hybrid_core::mailbox::{Standing, transition};
use multiclaude_hybrid_protocol::ErrorCode::{Forbidden, InvalidTransition};
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, Report};
use serde_json::{Value, json};
use std::process::Command;

async fn sent(world: &World) -> String {
    world.dan.send(&message("ws", "queue", "x"), None).await.unwrap().id.to_string()
}

#[tokio::test]
async fn seen_makes_a_pending_message_delivered_and_a_repeat_changes_nothing() {
    let world = two_agents().await;
    let id = sent(&world).await;
    let seen = world.ann.patch_message(&id, &json!({"seen": true})).await.unwrap();
    assert_eq!(seen.status, MessageStatus::Delivered);
    assert!(seen.seen_at.is_some() && seen.delivered_at == seen.seen_at);
    assert_eq!(world.ann.patch_message(&id, &json!({"seen": true})).await.unwrap(), seen);
    let acked = world.ann.report(&id, "acked", None).await.unwrap();
    assert_eq!((acked.seen_at, acked.delivered_at), (seen.seen_at, seen.delivered_at));
    assert_eq!(world.dan.receipt(&id).await.unwrap(), acked);
    assert_eq!(world.ann.messages("queue", "").await.unwrap(), [acked]);
}

#[tokio::test]
async fn an_acknowledgement_alone_proves_nothing_and_the_proof_may_come_after_it() {
    let world = two_agents().await;
    let id = sent(&world).await;
    let acked = world.ann.report(&id, "acked", None).await.unwrap();
    assert_eq!(acked.seen_at, None);
    let seen = world.ann.patch_message(&id, &json!({"seen": true})).await.unwrap();
    assert!(seen.seen_at.is_some());
    assert_eq!(seen, Message { seen_at: seen.seen_at, ..acked });
}

#[tokio::test]
async fn only_the_recipients_side_says_that_a_message_was_seen() {
    let world = two_agents().await;
    let id = sent(&world).await;
    assert_eq!(code(world.dan.patch_message(&id, &json!({"seen": true})).await), Forbidden);
    assert_eq!(world.dan.receipt(&id).await.unwrap().seen_at, None);
}

fn standing(message: &Message) -> Standing {
    Standing { status: message.status, seen: message.seen_at.is_some() }
}

#[tokio::test]
async fn the_stored_message_moves_exactly_as_the_core_says() {
    let world = two_agents().await;
    let reports = [
        MessageStatus::Pending.into(),
        Report::from(MessageStatus::Pending).and_seen(),
        Report::DELIVERED,
        Report::DELIVERED.and_seen(),
        Report::ACKED,
        Report::ACKED.and_seen(),
        Report::SEEN,
    ];
    let (mut taken, mut refused) = (0, 0);
    for first in reports {
        for second in reports {
            let id = sent(&world).await;
            let mut current = world.dan.receipt(&id).await.unwrap();
            for report in [first, second] {
                let body = serde_json::to_value(report).unwrap();
                let answer = world.ann.patch_message(&id, &body).await;
                let wanted = transition(standing(&current), report);
                match wanted {
                    Ok(next) => {
                        let now = answer.unwrap();
                        let wanted = next.unwrap_or(standing(&current));
                        assert_eq!(standing(&now), wanted, "{current:?} {report:?}");
                        // Without a change, not even a time moves.
                        assert!(next.is_some() || now == current, "{current:?} {now:?}");
                        for (before, after) in [
                            (current.delivered_at, now.delivered_at),
                            (current.seen_at, now.seen_at),
                            (current.acked_at, now.acked_at),
                        ] {
                            assert!(before.is_none() || before == after, "{current:?} {now:?}");
                        }
                        current = now;
                        taken += 1;
                    }
                    Err(_) => {
                        assert_eq!(code(answer), InvalidTransition);
                        refused += 1;
                    }
                }
            }
            assert_eq!(world.dan.receipt(&id).await.unwrap(), current);
        }
    }
    assert!(taken > 70 && refused > 10, "{taken} {refused}");
}

#[tokio::test]
async fn a_failed_message_is_not_seen() {
    let world = two_agents().await;
    let sink = Sink::start(vec![Answer::status(422)]).await;
    world.ann.update("queue", &json!({"endpoint": sink.url})).await.unwrap();
    let id = sent(&world).await;
    let failed = eventually("the refusal", 10, || async {
        let receipt = world.dan.receipt(&id).await.unwrap();
        (receipt.status == MessageStatus::Failed).then_some(receipt)
    })
    .await;
    let refused = world.ann.patch_message(&id, &json!({"seen": true})).await;
    assert_eq!(code(refused), InvalidTransition);
    assert_eq!(world.dan.receipt(&id).await.unwrap(), failed);
}

#[tokio::test]
async fn an_empty_report_or_one_of_not_seen_is_refused_with_a_hint() {
    let world = two_agents().await;
    let id = sent(&world).await;
    let of = async |body: Value| fields(world.ann.patch_message(&id, &body).await);
    assert_eq!(of(json!({})).await, ["status"]);
    assert_eq!(of(json!({"status": "acked", "seen": false})).await, ["seen"]);
    assert_eq!(of(json!({"seen": "yes"})).await, ["seen"]);
    let refused = world.ann.patch_message(&id, &json!({"seen": false})).await;
    let problem = crate::problem(refused);
    assert!(problem.detail.contains("must be true"), "{problem:?}");
    assert_eq!(world.dan.receipt(&id).await.unwrap().status, MessageStatus::Pending);
}

/// Runs a statement in every mailbox, behind the coordinator's back.
fn in_every_mailbox(coordinator: &Coordinator, sql: &str) -> usize {
    let dir = coordinator.state_dir().join("v3/do/multiclaude-hybrid-Mailbox");
    // The SQLite of the Node that runs wrangler.
    let script = "const { DatabaseSync } = require('node:sqlite'); \
        new DatabaseSync(process.argv[1]).exec(process.argv[2]);";
    let node = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../node_modules/.bin/node");
    let mut count = 0;
    for file in std::fs::read_dir(dir).unwrap().flatten() {
        if file.file_name().to_string_lossy().len() == 64 + ".sqlite".len() {
            let mut command = Command::new(&node);
            command.args(["-e", script]).arg(file.path()).arg(sql);
            let ran = output(&mut command, b"", LIMIT);
            assert!(ran.status.success(), "{ran:?}");
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn a_mailbox_that_an_older_version_made_goes_on_and_learns_to_note_what_was_seen() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let world = coordinator.world().await;
    agents(&world).await;
    let (first, second) = (sent(&world).await, sent(&world).await);
    let acked = world.ann.report(&first, "acked", None).await.unwrap();
    coordinator.kill();
    let old = "ALTER TABLE messages DROP COLUMN seen_at";
    assert_eq!(in_every_mailbox(&coordinator, old), 2);
    coordinator.launch().await;
    assert_eq!(world.dan.receipt(&first).await.unwrap(), acked);
    let seen = world.ann.patch_message(&second, &json!({"seen": true})).await.unwrap();
    assert!(seen.seen_at.is_some());
    let third = sent(&world).await;
    assert!(third > second);
    // Once is enough: the next load finds the column.
    coordinator.kill();
    coordinator.launch().await;
    assert_eq!(world.dan.receipt(&second).await.unwrap(), seen);
}
