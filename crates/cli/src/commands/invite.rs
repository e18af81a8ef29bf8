//! `invite`: one line that lets another machine join.

use crate::failure::{Exit, Failure, Outcome};
use crate::options::{RepoArg, TIME_MAX, time};
use crate::output::after;
use crate::session::{Need, Session};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use multiclaude_hybrid_client::protocol::token::{NewToken, Scope, TokenKind};
use multiclaude_hybrid_client::protocol::{Owner, Repo};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// The prefix of an invitation, by which it is recognised anywhere.
const PREFIX: &str = "mchi_";

/// Print a line that lets another machine join.
///
/// The line holds a new user token: its holder can read and send mail as that user in this repo,
/// and ask for workers.
/// Pass it to `join` on the other machine's standard input:
/// `multiclaude-hybrid invite ann | ssh box multiclaude-hybrid join`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// The owner of the agents on the other machine
    owner: Owner,
    #[command(flatten)]
    repo: RepoArg,
    /// The lifetime of the token: 90d, 12h [default: never, or with the service token that makes it]
    #[arg(long, value_name = "TIME", value_parser = time(1..=TIME_MAX))]
    expires: Option<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Invitation {
    pub(super) url: String,
    pub(super) repo: Repo,
    pub(super) token: String,
}

impl Invitation {
    fn line(&self) -> Outcome<String> {
        let text = serde_json::to_vec(self)
            .map_err(|_| Failure::new("the invitation cannot be written"))?;
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(text)))
    }

    /// Finds one in whatever was pasted with it.
    pub(super) fn find(text: &str) -> Outcome<Self> {
        let wrong = |why: &str| {
            Failure::usage(format!("standard input holds no whole invitation: {why}")).hint(
                "ask for one (multiclaude-hybrid invite OWNER), and paste the whole line that begins \
                 with mchi_",
            )
        };
        let at = text.find(PREFIX).ok_or_else(|| wrong("nothing begins with mchi_"))?;
        let rest = text.get(at + PREFIX.len()..).unwrap_or_default();
        let code: String = rest
            .chars()
            .take_while(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_'))
            .collect();
        let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| wrong("it is cut short"))?;
        serde_json::from_slice(&bytes).map_err(|_| wrong("it is cut short"))
    }
}

impl InviteArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let (repo, _) = session.resolve(self.repo.given())?;
        let login = session.login(Some(&repo), Need::Manage)?;
        let client = session.client(login)?;
        session.out.must_be_seen()?;
        let made = client
            .create_token(&NewToken {
                kind: TokenKind::User,
                owner: self.owner.clone(),
                repos: vec![Scope::Repo(repo.clone())],
                description: Some(format!("invited by {}", login.owner)),
                expires_at: self.expires.map(after),
            })
            .await
            .map_err(|error| {
                session.explain(error.into(), login).instead(
                    Exit::Forbidden,
                    "inviting takes a service or an admin token: ask the coordinator's admin",
                )
            })?;
        let invitation = Invitation {
            url: login.url.clone(),
            repo: repo.clone(),
            token: made.token.unwrap_or_default(),
        };
        let line = invitation.line()?;
        // Only an admin token may revoke it.
        let revoke = match login.kind {
            TokenKind::Admin => "to revoke it",
            _ => "to revoke it, an admin runs",
        };
        session.out.note(&format!(
            "An invitation for {} to {repo}. On the other machine: multiclaude-hybrid join, and paste \
             this line.\nIt is as secret as a password; {revoke}: multiclaude-hybrid tokens revoke {}",
            self.owner, made.id
        ));
        let value =
            json!({ "invitation": line, "token_id": made.id, "owner": self.owner, "repo": repo });
        session.out.show(&value, || line.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_found_in_whatever_was_pasted_with_it() {
        let invitation = Invitation {
            url: "https://api.example.com/v1".to_owned(),
            repo: Repo::parse("acme/app").unwrap(),
            token: "mcu_x".to_owned(),
        };
        let line = invitation.line().unwrap();
        for text in [line.clone(), format!("  \"{line}\"\n"), format!("join with: {line} .\nbye")] {
            assert_eq!(Invitation::find(&text).unwrap().token, "mcu_x");
        }
        let short = line.get(..line.len() - 3).unwrap();
        for text in ["", "hello", "mchi_", short] {
            let refused = Invitation::find(text).unwrap_err();
            assert!(refused.message.contains("no whole invitation"), "{text}");
        }
    }
}
