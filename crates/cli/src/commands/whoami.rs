//! `whoami`: what the tokens of this machine stand for.

use super::login::describe;
use crate::failure::{Failure, Outcome};
use crate::secrets;
use crate::session::{Need, Session};
use clap::Args;
use serde_json::json;

/// Show the owner of the token in use, and what it covers.
#[derive(Debug, Args)]
pub struct WhoamiArgs {
    /// Show the token for this repo: multiclaude's name for it, or owner/repo
    #[arg(long, short = 'R', short_alias = 'r', value_name = "REPO")]
    repo: Option<String>,
    /// Show every token of this machine
    #[arg(long, conflicts_with = "repo")]
    all: bool,
}

impl WhoamiArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        if self.all {
            return all(session).await;
        }
        let login = match &self.repo {
            Some(repo) => session.login(Some(&session.resolve(Some(repo))?.0), Need::Use)?,
            // The repo around decides, if there is one that a token is for.
            None => match session.resolve(None) {
                Ok((repo, _)) => session
                    .login(Some(&repo), Need::Use)
                    .or_else(|_| session.login(None, Need::Use))?,
                Err(_) => session.login(None, Need::Use)?,
            },
        };
        let who = session.client(login)?.whoami().await;
        let who = who.map_err(|error| session.explain(error.into(), login))?;
        let value = json!({
            "url": login.url, "token_id": who.token_id, "kind": who.kind, "owner": who.owner,
            "repos": who.repos, "expires_at": who.expires_at, "place": login.place,
        });
        session.out.show(&value, || {
            format!(
                "{}\nat {}, with the token {} in {}",
                describe(&who),
                login.url,
                who.token_id,
                secrets::place_name(&session.home, login.place)
            )
        })
    }
}

async fn all(session: &Session) -> Outcome {
    let (mut values, mut lines, mut worst) = (Vec::new(), Vec::new(), None);
    for login in session.logins() {
        let checked = match session.client(login) {
            Ok(client) => client.whoami().await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        let state = match &checked {
            Ok(who) => describe(who),
            Err(failure) => failure.message.clone(),
        };
        values.push(json!({
            "url": login.url, "token_id": login.token_id, "kind": login.kind,
            "owner": login.owner, "repos": login.repos, "place": login.place,
            "valid": checked.is_ok(), "error": checked.as_ref().err().map(|f| &f.message),
        }));
        lines.push(format!("{}  {}\n  {state}", login.url, login.token_id));
        worst = worst.or(checked.err().map(|failure| session.explain(failure, login)));
    }
    if values.is_empty() {
        session.login(None, Need::Use)?;
    }
    session.out.show(&values, || lines.join("\n"))?;
    worst.map_or(Ok(()), Err)
}
