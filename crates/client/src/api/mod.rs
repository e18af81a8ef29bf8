//! The endpoints, one file per resource.

mod agents;
mod audit;
mod config;
mod messages;
mod system;
mod tokens;
mod workers;

pub use agents::{AgentFilter, EndpointTest};
pub use config::Versioned;
pub use messages::{MessageFilter, Page};
pub use system::Health;

use crate::{Call, Client, Error, Reply};
use multiclaude_hybrid_protocol::Repo;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

/// More pages than any list has.
const PAGES_MAX: usize = 2000;

/// The endpoints of one repo.
#[derive(Debug, Clone)]
pub struct RepoClient {
    pub(crate) client: Client,
    pub(crate) path: String,
}

/// A query string of the pairs that have a value.
fn query(pairs: &[(&str, Option<String>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

impl Client {
    /// The endpoints of one repo.
    pub fn repo(&self, repo: &Repo) -> RepoClient {
        RepoClient { client: self.clone(), path: format!("/repos/{repo}") }
    }

    /// All pages of a list, at most [`PAGES_MAX`].
    async fn all<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        let mut query = query.to_owned();
        for _ in 0..PAGES_MAX {
            let call = Call::new(Method::GET, format!("{path}?{query}"));
            let page = self.call(call).await?;
            items.extend(page.json::<Vec<T>>()?);
            match page.next_query() {
                // A page that links to itself.
                Some(next) if next == query => break,
                Some(next) => next.clone_into(&mut query),
                None => return Ok(items),
            }
        }
        let text = format!("a list without an end, or of more than {PAGES_MAX} pages");
        Err(Error::unexpected(self.base.as_str(), StatusCode::OK, &text, None))
    }
}

impl RepoClient {
    /// The client that makes the calls.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same repo with another token.
    pub fn with_token(&self, token: &str) -> Result<Self, Error> {
        Ok(Self { client: self.client.with_token(token)?, path: self.path.clone() })
    }

    /// Makes any call. Its path is the part after the repo.
    pub async fn call(&self, mut call: Call) -> Result<Reply, Error> {
        call.path.insert_str(0, &self.path);
        self.client.call(call).await
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, Error> {
        self.call(Call::new(Method::GET, path)).await?.json()
    }
}
