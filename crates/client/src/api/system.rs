//! Health, identity and description of the coordinator.

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
    /// The database: `ok` or `unavailable`.
    pub d1: String,
    /// The coordinator's version.
    pub version: String,
    /// The coordinator's time, if it reports that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

impl Client {
    /// `GET /v1/health`, once. A degraded coordinator is an answer, not an error.
    pub async fn health(&self) -> Result<Health, Error> {
        match self.call(Call::new(Method::GET, "/health").repeat(Repeat::Never)).await {
            Ok(reply) => reply.json(),
            Err(error) => match &error {
                Error::Unexpected { text, .. } => serde_json::from_str(text).map_err(|_| error),
                _ => Err(error),
            },
        }
    }

    /// `GET /v1/whoami`: the kind, owner and repos of the token.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.call(Call::new(Method::GET, "/whoami")).await?.json()
    }

    /// `GET /v1/openapi.json`: the API as an `OpenAPI` document.
    pub async fn openapi(&self) -> Result<Value, Error> {
        let call = Call::new(Method::GET, "/openapi.json");
        self.call(call).await?.json()
    }
}
