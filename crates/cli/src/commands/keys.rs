//! `keys`: end-to-end encryption.

use crate::crypt;
use crate::failure::Outcome;
use crate::options::{NameArg, RepoArg};
use crate::session::{Need, Session};
use clap::{Args, Subcommand};

/// Show and trust the keys of end-to-end encryption.
///
/// A key is remembered when it is first seen. When it changes, `send` and `reply` warn until you
/// trust the new one, and the bridge notes it in its log; where encryption is always required,
/// nothing is sent until then.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(flatten)]
    repo: RepoArg,
    #[command(subcommand)]
    command: Option<KeysCommand>,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List this machine's own key and those of others, of all repos or one
    List,
    /// Trust the key that an agent has now
    Trust(NameArg),
    /// Forget an agent's key; the next one seen is trusted
    Forget(NameArg),
}

impl KeysArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        match &self.command {
            None | Some(KeysCommand::List) => {
                let repo = self.repo.given().map(|repo| session.resolve(Some(repo))).transpose()?;
                crypt::list(session, repo.map(|(repo, _)| repo).as_ref())
            }
            Some(KeysCommand::Trust(NameArg { name })) => {
                let at = session.in_repo(self.repo.given(), Need::Use)?;
                crypt::trust(session, &at, name).await
            }
            Some(KeysCommand::Forget(NameArg { name })) => {
                let (repo, _) = session.resolve(self.repo.given())?;
                crypt::forget(session, &repo, name)
            }
        }
    }
}
