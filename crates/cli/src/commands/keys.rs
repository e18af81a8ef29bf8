//! `keys`: end-to-end encryption.

use crate::completion;
use crate::crypt;
use crate::failure::Outcome;
use crate::options::{RepoArg, agent_name};
use crate::session::{Need, Session};
use clap::{Args, Subcommand};
use multiclaude_hybrid_client::protocol::AgentName;

/// Show and trust the keys of end-to-end encryption.
///
/// A key is remembered when it is first seen. When it changes, you are warned
/// until you say that you trust the new one.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(flatten)]
    repo: RepoArg,
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
    pub async fn run(&self, session: &Session) -> Outcome {
        match &self.command {
            None | Some(KeysCommand::List) => crypt::list(session),
            Some(KeysCommand::Trust { name }) => {
                let at = session.in_repo(self.repo.given(), Need::Use)?;
                crypt::trust(session, &at, name).await
            }
            Some(KeysCommand::Forget { name }) => {
                let (repo, _) = session.resolve(self.repo.given())?;
                crypt::forget(session, &repo, name)
            }
        }
    }
}
