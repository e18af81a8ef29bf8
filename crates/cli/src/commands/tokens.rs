//! `tokens`: for admins; a service token creates user tokens for its repos.

use crate::failure::Outcome;
use crate::ids::Given;
use crate::options::{TIME_MAX, one_of, time};
use crate::output::{after, ago};
use crate::session::{Need, Session};
use crate::settings::Login;
use crate::table::{Column, Fit, cell, table, whole};
use clap::{Args, Subcommand};
use multiclaude_hybrid_client::Client;
use multiclaude_hybrid_client::protocol::token::{NewToken, Scope, Token, TokenKind};
use multiclaude_hybrid_client::protocol::{Owner, TokenId};
use std::time::Duration;

/// Create, list and revoke tokens.
///
/// Needs an admin token; a service token creates user tokens for its repos.
#[derive(Debug, Args)]
pub struct TokensArgs {
    #[command(subcommand)]
    command: Option<TokensCommand>,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// List all tokens, without their secret parts
    List,
    /// Create a token, and print it once
    Create {
        /// Its kind: a person's, one for CI and runners, or one that manages tokens
        #[arg(long, default_value = "user", value_parser = one_of(TokenKind::TEXTS, TokenKind::parse))]
        kind: TokenKind,
        /// Its owner
        #[arg(long)]
        owner: Owner,
        /// A repo that it covers: owner/repo, or owner/* for a service; may be repeated
        #[arg(long = "repo", value_name = "REPO")]
        repos: Vec<Scope>,
        /// A note for people
        #[arg(long)]
        description: Option<String>,
        /// Its lifetime: 90d, 12h [default: never, or with the service token that makes it]
        #[arg(long, value_name = "TIME", value_parser = time(1..=TIME_MAX))]
        expires: Option<Duration>,
    },
    /// Revoke a token, everywhere within a minute
    Revoke {
        /// Its id, tok_…, or the beginning of it
        id: Given<TokenId>,
    },
}

impl TokensArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let login = session.login(None, Need::Manage)?;
        let client = session.client(login)?;
        let done = match self.command.as_ref().unwrap_or(&TokensCommand::List) {
            TokensCommand::List => list(session, &client).await,
            TokensCommand::Revoke { id } => revoke(session, &client, id).await,
            TokensCommand::Create { kind, owner, repos, description, expires } => {
                let wish = NewToken {
                    kind: *kind,
                    owner: owner.clone(),
                    repos: repos.clone(),
                    description: description.clone(),
                    expires_at: expires.map(after),
                };
                create(session, &client, login, &wish).await
            }
        };
        done.map_err(|failure| session.explain(failure, login))
    }
}

async fn create(session: &Session, client: &Client, login: &Login, wish: &NewToken) -> Outcome {
    session.out.must_be_seen()?;
    let made = client.create_token(wish).await?;
    let secret = made.token.clone().unwrap_or_default();
    session.out.note(&format!(
        "{} for {}; it is shown only once. On the other machine: multiclaude-hybrid login --url {}",
        made.id, made.owner, login.url
    ));
    session.out.show(&made, || secret)
}

async fn list(session: &Session, client: &Client) -> Outcome {
    let tokens = client.tokens().await?;
    session.out.show(&tokens, || listed(&tokens))
}

fn listed(tokens: &[Token]) -> String {
    let scopes = |token: &Token| {
        let scopes: Vec<_> = token.repos.iter().map(ToString::to_string).collect();
        cell(scopes.join(","))
    };
    let columns: [Column<'_, Token>; 7] = [
        ("ID", Fit::Whole, &|token| whole(&token.id)),
        ("KIND", Fit::Whole, &|token| whole(token.kind.as_str())),
        ("OWNER", Fit::Shrinks, &|token| whole(&token.owner)),
        ("REPOS", Fit::Shrinks, &scopes),
        ("NOTE", Fit::Shrinks, &|token| cell(token.description.as_deref().unwrap_or_default())),
        ("USED", Fit::Spare, &|token| whole(token.last_used_at.map_or("never".to_owned(), ago))),
        ("EXPIRES", Fit::Spare, &|token| {
            whole(token.expires_at.map_or(String::new(), |at| at.to_string()))
        }),
    ];
    table(tokens, &columns)
}

async fn revoke(session: &Session, client: &Client, id: &Given<TokenId>) -> Outcome {
    let ids = async || Ok(client.tokens().await?.into_iter().map(|token| token.id).collect());
    let id = &id.find(ids).await?;
    client.revoke_token(id).await?;
    let value = serde_json::json!({ "id": id, "revoked": true });
    session.out.show(&value, || format!("Revoked {id}; it stops working within a minute."))
}
