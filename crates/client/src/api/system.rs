//! The coordinator itself.

use crate::{Call, Client, Error, Repeat};
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::token::WhoAmI;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer of `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// Its database: `ok` or `unavailable`.
    pub d1: String,
    /// Its version.
    pub version: String,
    /// Its clock, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

impl Client {
    /// `GET /v1/health`, once; a degraded coordinator is an answer, no error.
    pub async fn health(&self) -> Result<Health, Error> {
        match self.call(Call::new(Method::GET, "/health").repeat(Repeat::Never)).await {
            Ok(reply) => reply.json(),
            Err(error) => match &error {
                Error::Unexpected { text, .. } => serde_json::from_str(text).map_err(|_| error),
                _ => Err(error),
            },
        }
    }

    /// `GET /v1/whoami`: what the token stands for.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.call(Call::new(Method::GET, "/whoami")).await?.json()
    }

    /// `GET /v1/openapi.json`: the API as an `OpenAPI` document.
    pub async fn openapi(&self) -> Result<Value, Error> {
        let call = Call::new(Method::GET, "/openapi.json");
        self.call(call).await?.json()
    }
}
