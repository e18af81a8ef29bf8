//! A repo's configuration.

use crate::{Call, Error, RepoClient};
use multiclaude_hybrid_protocol::config::{ConfigWish, HybridConfig};
use reqwest::{Method, header};

/// A resource and its version.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// The resource.
    pub value: T,
    /// Its version, for `If-Match`.
    pub etag: String,
}

impl<T> Versioned<T> {
    /// Was it never set? Then the value holds the defaults.
    pub fn is_default(&self) -> bool {
        self.etag == "\"0\""
    }
}

impl RepoClient {
    /// `GET …/config`.
    pub async fn config(&self) -> Result<Versioned<HybridConfig>, Error> {
        let reply = self.call(Call::new(Method::GET, "/config")).await?;
        let etag = reply.headers.get(header::ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()).unwrap_or_default();
        Ok(Versioned { value: reply.json()?, etag: etag.to_owned() })
    }

    /// `PUT …/config`: replaces it; with the `etag` that [`RepoClient::config`] returned,
    /// only if it still has that version (else [`Error::is_conflict`],
    /// `precondition_failed`). For service and admin tokens.
    pub async fn set_config(
        &self,
        wish: &ConfigWish,
        etag: Option<&str>,
    ) -> Result<HybridConfig, Error> {
        let mut call = Call::new(Method::PUT, "/config").json(wish);
        if let Some(etag) = etag {
            call = call.header("if-match", etag);
        }
        self.call(call).await?.json()
    }
}
