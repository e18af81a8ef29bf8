//! *Seen*: the agent itself has taken the message, and its side has said so.

use crate::{code, problem, send, two_agents};
use multiclaude_hybrid_core::mailbox::{Standing, transition};
use multiclaude_hybrid_protocol::ErrorCode::InvalidTransition;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, Report};
use serde_json::json;

#[tokio::test]
async fn seen_makes_a_pending_message_delivered_and_a_repeat_changes_nothing() {
    let world = two_agents().await;
    let id = send(&world, "x").await.id.to_string();
    let seen = world.ann.patch_message(&id, &json!({"seen": true})).await.unwrap();
    assert_eq!(seen.status, MessageStatus::Delivered);
    assert!(seen.seen_at.is_some() && seen.delivered_at == seen.seen_at);
    assert_eq!(world.ann.patch_message(&id, &json!({"seen": true})).await.unwrap(), seen);
    let acked = world.ann.report(&id, "acked", None).await.unwrap();
    assert_eq!((acked.seen_at, acked.delivered_at), (seen.seen_at, seen.delivered_at));
    assert_eq!(world.dan.receipt(&id).await.unwrap(), acked);
    assert_eq!(world.ann.messages("queue", "").await.unwrap(), [acked]);
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
            let id = send(&world, "x").await.id.to_string();
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
                        let is_pending = now.status == MessageStatus::Pending;
                        assert_eq!(now.delivered_at.is_none(), is_pending, "{now:?}");
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
async fn a_report_of_not_seen_is_refused_with_a_hint() {
    let world = two_agents().await;
    let id = send(&world, "x").await.id.to_string();
    let body = json!({"status": "acked", "seen": false});
    let problem = problem(world.ann.patch_message(&id, &body).await);
    assert!(problem.detail.contains("must be true"), "{problem:?}");
    assert_eq!(world.dan.receipt(&id).await.unwrap().status, MessageStatus::Pending);
}
