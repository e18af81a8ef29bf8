//! Messages that agents of this machine have received, as candidates for the
//! beginning of an id.

use crate::completion;
use crate::failure::{Exit, Failure, Outcome};
use crate::session::{InRepo, Session};
use clap::Args;
use multiclaude_hybrid_client::protocol::{AgentName, MessageId};

/// In whose mailbox a message is looked for.
#[derive(Debug, Default, Args)]
pub struct Received {
    /// The recipient, if only the beginning of an id is given [default: the agents of this machine]
    #[arg(long = "agent", id = "received_by", value_name = "NAME", add = completion::names())]
    by: Option<AgentName>,
}

impl Received {
    pub async fn ids(&self, session: &Session, at: &InRepo) -> Outcome<Vec<MessageId>> {
        let agents = match &self.by {
            Some(name) => vec![name.clone()],
            None => here(session, at).await?,
        };
        let mut ids = Vec::new();
        for agent in &agents {
            ids.extend(at.client.message_ids(agent, None).await?);
        }
        Ok(ids)
    }
}

async fn here(session: &Session, at: &InRepo) -> Outcome<Vec<AgentName>> {
    let agents = at.agents_of_owner().await?;
    let ours = agents.into_iter().filter(|agent| session.settings.has_registered(agent));
    let names: Vec<_> = ours.map(|agent| agent.name).collect();
    if names.is_empty() {
        let message = format!("no agent of this machine is registered in {}", at.repo);
        return Err(Failure::new(message)
            .exit(Exit::NotFound)
            .hint("give the whole id, or the agent that received the message: --agent NAME"));
    }
    Ok(names)
}
