//! `ack --all`: everything that waits for an agent.

use crate::failure::Outcome;
use crate::output::counted;
use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::message::MessageStatus;
use multiclaude_hybrid_client::{Error, MessageFilter};
use serde_json::json;

/// Messages of one page.
const PAGE: u32 = 500;

/// Acknowledges every message of `agent` that is pending or delivered.
pub(super) async fn run(session: &Session, at: &InRepo, agent: &AgentName) -> Outcome {
    let mut acked = 0;
    // What is delivered meanwhile is found by the second round.
    for status in [MessageStatus::Pending, MessageStatus::Delivered] {
        acked += ack(at, agent, status).await?;
    }
    session.out.show(&json!({ "agent": agent, "acked": acked }), || match acked {
        0 => format!("no messages wait for {agent}"),
        acked => format!("{} of {agent} acked", counted(acked, "message")),
    });
    Ok(())
}

/// Acknowledges the messages with this status, page by page; how many there were.
async fn ack(at: &InRepo, agent: &AgentName, status: MessageStatus) -> Outcome<usize> {
    let (mut acked, mut after) = (0, None);
    loop {
        let filter = MessageFilter {
            status: Some(status),
            after: after.take(),
            limit: Some(PAGE),
            ..MessageFilter::default()
        };
        let page = at.client.messages(agent, &filter).await?;
        for message in &page.items {
            match at.client.report(&message.id, MessageStatus::Acked, None).await {
                Ok(_) => acked += 1,
                // It has expired or was dealt with meanwhile.
                Err(Error::Conflict { .. } | Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        after = page.items.last().map(|message| message.id.clone());
        if !page.more || after.is_none() {
            return Ok(acked);
        }
    }
}
