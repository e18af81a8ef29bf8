//! `reply`: an answer to a message, in its conversation.

use super::send::SendArgs;
use crate::failure::{Exit, Failure, Outcome};
use crate::ids::Given;
use crate::options::RepoArg;
use crate::received::Received;
use crate::sender;
use crate::session::{Need, Session};
use clap::Args;
use multiclaude_hybrid_client::protocol::message::{Message, Sender};
use multiclaude_hybrid_client::protocol::{AgentName, MessageId};

/// Answer a message that one of your agents has received.
///
/// The answer goes to the message's sender, from the agent that received it,
/// in the same thread.
#[derive(Debug, Args)]
pub struct ReplyArgs {
    /// The message's id, or the beginning of it
    id: Given<MessageId>,
    /// The text, or - for standard input; after -- it may begin with a dash
    #[arg(required = true)]
    text: Vec<String>,
    #[command(flatten)]
    repo: RepoArg,
    #[command(flatten)]
    received: Received,
    /// Idempotency key: the same one again sends no second message
    #[arg(long)]
    key: Option<String>,
    /// Answer as the agent that received it, if it is another owner's
    #[arg(long)]
    as_agent: bool,
}

impl ReplyArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.given(), Need::Use)?;
        let id = self.id.find(async || self.received.ids(session, &at).await).await?;
        let asked = at.client.receipt(&id).await?;
        let to = mailbox(&asked)?;
        if !self.as_agent {
            let command = format!("reply {} TEXT", asked.id);
            sender::check_agent(&at, &asked.to, "answer", &command).await?;
        }
        let sent = SendArgs {
            to: to.clone(),
            text: self.text.clone(),
            repo: RepoArg { repo: Some(at.repo.to_string()) },
            from: Some(asked.to.to_string()),
            thread: asked.thread_id.clone(),
            reply_to: Some(Given::Whole(id)),
            key: self.key.clone(),
            ttl: None,
            wait: None,
            wait_timeout: None,
        };
        sent.run(session).await.map_err(|failure| {
            failure.instead(
                Exit::Forbidden,
                &format!(
                    "only {}, which received it, may answer it. In your own name: multiclaude-hybrid \
                     send {to} TEXT --repo {}",
                    asked.to, at.repo
                ),
            )
        })
    }
}

fn mailbox(message: &Message) -> Outcome<&AgentName> {
    let (id, repo, owner) = (&message.id, &message.repo, &message.from_owner);
    match &message.from {
        Sender::Agent(name) => Ok(name),
        from @ Sender::User(_) => Err(Failure::usage(format!(
            "{id} comes from {from}, a person without a mailbox: it cannot be answered"
        ))
        .hint(format!(
            "to write to an agent of {owner}, list them: multiclaude-hybrid agents --owner \
             {owner} --repo {repo}"
        ))),
        Sender::System => Err(Failure::usage(format!(
            "{id} is a notice of the coordinator, which has no mailbox: it cannot be answered"
        ))
        .hint(format!("acknowledge it: multiclaude-hybrid ack {id} --repo {repo}"))),
    }
}
