//! *Seen*: the agent itself has taken the message, and its side has said so.

use crate::{code, problem, send, two_agents};
use multiclaude_hybrid_core::mailbox::{Standing, transition};
use multiclaude_hybrid_protocol::ErrorCode::InvalidTransition;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus, Report};
use serde_json::json;

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
    let (mut taken, mut refused, mut all) = (0, 0, Vec::new());
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
                        if current.delivered_at.is_none() && report == Report::SEEN {
                            assert_eq!(now.delivered_at, now.seen_at);
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
            all.push(current);
        }
    }
    assert_eq!(world.ann.messages("queue", "limit=500").await.unwrap(), all);
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
