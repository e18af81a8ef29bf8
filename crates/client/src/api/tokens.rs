//! Tokens, for admins.

use super::query;
use crate::{Call, Client, Error};
use multiclaude_hybrid_protocol::TokenId;
use multiclaude_hybrid_protocol::token::{NewToken, Token};
use reqwest::Method;

impl Client {
    /// `POST /v1/tokens`. The token is in this answer only, so the call is not repeated.
    /// If the answer is lost, revoke the new token that [`Client::tokens`] shows, and
    /// create another.
    ///
    /// ```no_run
    /// # async fn example(admin: multiclaude_hybrid_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use multiclaude_hybrid_client::protocol::Owner;
    /// use multiclaude_hybrid_client::protocol::token::{NewToken, Scope, TokenKind};
    ///
    /// let made = admin.create_token(&NewToken {
    ///     kind: TokenKind::User,
    ///     owner: Owner::parse("ann")?,
    ///     repos: vec![Scope::parse("acme/app")?],
    ///     description: Some("her laptop".to_owned()),
    ///     expires_at: None,
    /// }).await?;
    /// admin.revoke_token(&made.id).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_token(&self, token: &NewToken) -> Result<Token, Error> {
        let call = Call::new(Method::POST, "/tokens").json(token);
        self.call(call).await?.json()
    }

    /// `GET /v1/tokens`: all of them, page by page.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        let query = query(&[("limit", Some("500".to_owned()))]);
        self.all("/tokens", &query).await
    }

    /// `DELETE /v1/tokens/{id}`.
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, format!("/tokens/{id}"));
        self.call(call).await.map(|_| ())
    }
}
