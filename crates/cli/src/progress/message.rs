//! Waiting until a message has come as far as its sender wants.

use super::follow::follow;
use super::waiting::Waiting;
use crate::failure::{Exit, Outcome};
use crate::session::{InRepo, Session};
use clap::ValueEnum;
use multiclaude_hybrid_client::protocol::message::{Message, MessageStatus};
use std::iter::successors;
use std::time::Duration;

/// The pause before the first look; each one after it is half as long again.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// How far a message is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// The agent itself has seen it, or acknowledged it
    Seen,
    /// The agent has acknowledged it
    Acked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Reached,
    Failed,
    TimedOut,
}

impl Goal {
    /// Why there is nothing to wait for any longer, if so. An acknowledgement
    /// ends every waiting: a report of *seen* may never follow it.
    fn end(self, message: &Message) -> Option<End> {
        match message.status {
            MessageStatus::Failed => Some(End::Failed),
            MessageStatus::Acked => Some(End::Reached),
            _ if self == Self::Seen && message.seen_at.is_some() => Some(End::Reached),
            MessageStatus::Pending | MessageStatus::Delivered => None,
        }
    }
}

/// How far a message that is still waited for has come.
pub fn how_far(message: &Message) -> &'static str {
    match (message.seen_at, message.delivered_at) {
        (Some(_), _) => "seen by the agent, not acknowledged yet",
        (None, Some(_)) => "on the recipient's machine, not reported as seen yet",
        (None, None) => "stored, not on the recipient's machine yet",
    }
}

/// Looks at a message until it has come as far as `goal`, has failed, `limit` is
/// over, or Ctrl-C ends the looking. Returns the message as it was last seen.
pub async fn wait(
    session: &Session,
    at: &InRepo,
    sent: Message,
    goal: Goal,
    limit: Option<Duration>,
) -> Outcome<(End, Message)> {
    let hint = format!(
        "do not send it again; see how far it comes: multiclaude-hybrid receipt {} --repo {}",
        sent.id, at.repo
    );
    let mut last = Some(sent.clone());
    let done = follow(
        (session, Waiting::new(limit).answered()),
        &mut last,
        successors(Some(FIRST), |pause| Some((*pause * 3 / 2).min(LONGEST))),
        async || at.client.receipt(&sent.id).await,
        |message| goal.end(message).is_none().then(|| how_far(message).to_owned()),
        ("message", hint),
    )
    .await;
    let message = last.unwrap_or(sent);
    match done {
        Err(failure) if failure.exit != Exit::TimedOut => Err(failure),
        _ => Ok((goal.end(&message).unwrap_or(End::TimedOut), message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiclaude_hybrid_client::protocol::Timestamp;
    use serde_json::json;

    fn message(status: &str, seen: bool) -> Message {
        let message = json!({
            "id": "msg_0193a1b2c3d47000800000010a2b3c4d_queue", "from": "ws", "from_owner": "dan",
            "to": "queue", "repo": "acme/app", "body": "", "status": status,
            "created_at": "2026-11-22T12:00:00.000Z", "expires_at": "2026-11-29T12:00:00.000Z",
        });
        let message: Message = serde_json::from_value(message).unwrap();
        Message { seen_at: seen.then_some(Timestamp(1)), ..message }
    }

    #[test]
    fn the_waiting_ends_at_its_goal_at_an_acknowledgement_or_at_a_failure() {
        for (status, seen, for_seen, for_acked) in [
            ("pending", false, None, None),
            ("delivered", false, None, None),
            ("delivered", true, Some(End::Reached), None),
            ("acked", false, Some(End::Reached), Some(End::Reached)),
            ("acked", true, Some(End::Reached), Some(End::Reached)),
            ("failed", false, Some(End::Failed), Some(End::Failed)),
        ] {
            let message = message(status, seen);
            let ends = (Goal::Seen.end(&message), Goal::Acked.end(&message));
            assert_eq!(ends, (for_seen, for_acked), "{status} {seen}");
        }
    }
}
