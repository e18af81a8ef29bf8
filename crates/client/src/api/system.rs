//! Health, identity and description of the coordinator.

use crate::{Call, Client, Error, Repeat};
use multiclaude_hybrid_protocol::health::Health;
use multiclaude_hybrid_protocol::token::WhoAmI;
use reqwest::Method;
use serde_json::Value;

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
