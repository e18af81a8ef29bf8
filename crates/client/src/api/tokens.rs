//! Tokens, for admins.

use crate::{Call, Client, Error};
use multiclaude_hybrid_protocol::TokenId;
use multiclaude_hybrid_protocol::token::{NewToken, Token};
use reqwest::Method;

impl Client {
    /// `POST /v1/tokens`. The token is in this answer only, so the call is not repeated.
    /// If the answer is lost, revoke the new token that [`Client::tokens`] shows, and
    /// create another.
    pub async fn create_token(&self, token: &NewToken) -> Result<Token, Error> {
        let call = Call::new(Method::POST, "/tokens").json(token);
        self.call(call).await?.json()
    }

    /// `GET /v1/tokens`: all of them, page by page.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.list("/tokens", &[], usize::MAX).await
    }

    /// `DELETE /v1/tokens/{id}`.
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, format!("/tokens/{id}"));
        self.call(call).await.map(|_| ())
    }
}
