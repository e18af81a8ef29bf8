//! `receipt`: how far a message has come.

use crate::failure::Outcome;
use crate::ids::Given;
use crate::options::RepoArg;
use crate::output::{ago, line, safe};
use crate::received::Received;
use crate::session::{Need, Session};
use clap::Args;
use multiclaude_hybrid_client::protocol::MessageId;
use multiclaude_hybrid_client::protocol::message::{Message, MessageStatus};

/// Show how far a message has come.
///
/// Stored: the coordinator has it. On the machine: a bridge or an endpoint has stored it, or `inbox`
/// has shown it. Seen: the agent has it; a bridge reports this only if the agent's session proves
/// it. Acknowledged: the agent says so.
#[derive(Debug, Args)]
pub struct ReceiptArgs {
    /// The message's id, or the beginning of it if one of your agents received it
    id: Given<MessageId>,
    #[command(flatten)]
    received: Received,
    #[command(flatten)]
    repo: RepoArg,
}

impl ReceiptArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        let id = self.id.find(async || self.received.ids(session, &at).await).await?;
        let receipt = at.client.receipt(&id).await?;
        session.out.show(&receipt, || text(&receipt))
    }
}

/// A message's way, as people read it.
pub fn text(message: &Message) -> String {
    let (absent, unseen) = match message.status {
        MessageStatus::Failed => ("no", "no"),
        // It may never have been reported as seen.
        MessageStatus::Acked => ("not yet", "not reported"),
        MessageStatus::Pending | MessageStatus::Delivered => ("not yet", "not yet"),
    };
    let mut lines = vec![format!("{} from {} to {}", message.id, message.from, message.to)];
    let mut row = |label: &str, text: &str| lines.push(format!("  {label:<17}  {text}"));
    for (label, at, absent) in [
        ("stored", Some(message.created_at), absent),
        ("on the machine", message.delivered_at, absent),
        ("seen by the agent", message.seen_at, unseen),
        ("acknowledged", message.acked_at, absent),
    ] {
        row(label, &at.map_or_else(|| absent.to_owned(), ago));
    }
    if let Some(at) = message.failed_at {
        row("failed", &ago(at));
    }
    if let Some(reason) = message.failure_reason {
        row("because", reason.as_str());
    }
    if message.attempts > 0 {
        let error = message
            .last_error
            .as_ref()
            .map_or(String::new(), |error| format!(", the last one: {}", line(error, 60)));
        row("attempts", &format!("{}{error}", message.attempts));
    }
    if message.status == MessageStatus::Pending {
        row("waiting", &format!("until {}", message.expires_at));
    }
    safe(&lines.join("\n"))
}
