//! `reply`: an answer to a message, in its conversation.

use super::send::SendArgs;
use crate::failure::{Exit, Failure, Outcome};
use crate::ids::{self, Given};
use crate::received::Received;
use crate::sender;
use crate::session::{InRepo, Need, Session};
use clap::Args;
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::message::{Message, Sender};
use multiclaude_hybrid_client::protocol::token::TokenKind;
use multiclaude_hybrid_client::protocol::{AgentName, MessageId};

/// Answer a message that one of your agents has received.
///
/// The answer goes to the message's sender, from the agent that received it,
/// in the same thread.
#[derive(Debug, Args)]
pub struct ReplyArgs {
    /// The message's id, or the beginning of it
    #[arg(value_parser = ids::given::<MessageId>)]
    id: Given<MessageId>,
    /// The text, or - for standard input; after -- it may begin with a dash
    #[arg(required = true)]
    text: Vec<String>,
    /// The repo: multiclaude's name for it, or owner/repo
    #[arg(long, short, value_name = "REPO")]
    repo: Option<String>,
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
    /// Runs it.
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.as_deref(), Need::Use)?;
        let id = self.received.find(session, &at, &self.id).await?;
        let asked = at.client.receipt(&id).await;
        let asked = asked.map_err(|error| session.explain(error.into(), &at.login))?;
        let to = mailbox(&asked)?;
        self.check_speaker(session, &at, &asked).await?;
        let sent = SendArgs {
            to: to.clone(),
            text: self.text.clone(),
            repo: Some(at.repo.to_string()),
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
                    "only {} may answer it, which received it. In your own name: multiclaude-hybrid \
                     send {to} TEXT --repo {}",
                    asked.to, at.repo
                ),
            )
        })
    }
}

impl ReplyArgs {
    /// Refuses to speak as another owner's agent, unless that is wanted. One that is
    /// gone is left to the sending.
    async fn check_speaker(&self, session: &Session, at: &InRepo, asked: &Message) -> Outcome {
        if self.as_agent || at.login.kind == TokenKind::User {
            return Ok(());
        }
        let agent = match at.client.agent(&asked.to).await {
            Ok(agent) => agent,
            Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(session.explain(error.into(), &at.login)),
        };
        if !sender::is_anothers(at, &agent) {
            return Ok(());
        }
        let (name, owner) = (&agent.name, &agent.owner);
        Err(Failure::usage(format!("{name} is an agent of {owner}, not one of yours")).hint(
            format!(
                "to answer as that agent: multiclaude-hybrid reply {} TEXT --as-agent --repo {}",
                asked.id, at.repo
            ),
        ))
    }
}

/// Where an answer to `message` goes.
fn mailbox(message: &Message) -> Outcome<&AgentName> {
    let (id, repo, owner) = (&message.id, &message.repo, &message.from_owner);
    match &message.from {
        Sender::Agent(name) => Ok(name),
        from @ Sender::User(_) => Err(Failure::usage(format!(
            "{id} comes from {from}, a person without a mailbox: it cannot be answered"
        ))
        .hint(format!(
            "to write to an agent of {owner}, see which there are: multiclaude-hybrid agents --owner \
             {owner} --repo {repo}"
        ))),
        Sender::System => Err(Failure::usage(format!(
            "{id} is a notice of the coordinator, which has no mailbox: it cannot be answered"
        ))
        .hint(format!("acknowledge it: multiclaude-hybrid ack {id} --repo {repo}"))),
    }
}
