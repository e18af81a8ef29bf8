//! `keys`: end-to-end encryption.

use super::agents::agent_name;
use crate::completion;
use crate::crypt;
use crate::failure::Outcome;
use crate::session::{Need, Session};
use clap::{Args, Subcommand};
use multiclaude_hybrid_client::protocol::AgentName;

/// Show and trust the keys of end-to-end encryption.
///
/// A key is remembered when it is first seen. When it changes, you are warned
/// until you say that you trust the new one.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// The repo: multiclaude's name for it, or owner/repo
    #[arg(long, short, value_name = "REPO", global = true)]
    repo: Option<String>,
    #[command(subcommand)]
    command: Option<KeysCommand>,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List this machine's own key and those of others
    List,
    /// Trust the key that an agent has now
    Trust {
        /// The agent's name
        #[arg(value_parser = agent_name, add = completion::names())]
        name: AgentName,
    },
    /// Forget an agent's key; the next one seen is trusted
    Forget {
        /// The agent's name
        #[arg(value_parser = agent_name, add = completion::names())]
        name: AgentName,
    },
}

impl KeysArgs {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> Outcome {
        match &self.command {
            None | Some(KeysCommand::List) => crypt::list(session),
            Some(KeysCommand::Trust { name }) => {
                let at = session.in_repo(self.repo.as_deref(), Need::Use)?;
                let done = crypt::trust(session, &at, name).await;
                done.map_err(|failure| session.explain(failure, &at.login))
            }
            Some(KeysCommand::Forget { name }) => {
                let (repo, _) = session.resolve(self.repo.as_deref())?;
                crypt::forget(session, &repo, name)
            }
        }
    }
}
