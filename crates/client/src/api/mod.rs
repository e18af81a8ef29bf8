//! The endpoints, one file per resource.

mod agents;
mod audit;
mod config;
mod messages;
mod system;
mod tokens;
mod workers;

pub use agents::AgentFilter;
pub use config::Versioned;
pub use messages::{MessageFilter, Page};

use crate::{Call, Client, Error, Reply};
use multiclaude_hybrid_protocol::Repo;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

/// Entries of one page.
const PAGE_MAX: usize = 500;
/// More pages than any list has.
const PAGES_MAX: usize = 2000;

/// The endpoints of one repo.
#[derive(Debug, Clone)]
pub struct RepoClient {
    pub(crate) client: Client,
    pub(crate) path: String,
}

/// A query string of the pairs that have a value.
fn query<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, Option<String>)>) -> String {
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

    /// The pages of a list that match a filter, until there are `most` entries or no more.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &[(&str, Option<String>)],
        most: usize,
    ) -> Result<Vec<T>, Error> {
        let limit = ("limit", Some(most.clamp(1, PAGE_MAX).to_string()));
        let mut query = query(filter.iter().chain([&limit]));
        let mut items = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.call(Call::new(Method::GET, format!("{path}?{query}"))).await?;
            items.extend(page.json::<Vec<T>>()?);
            match page.next_query() {
                // A page that links to itself.
                Some(next) if next == query => break,
                Some(next) if items.len() < most => next.clone_into(&mut query),
                _ => {
                    items.truncate(most);
                    return Ok(items);
                }
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
