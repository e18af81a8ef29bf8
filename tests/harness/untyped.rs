//! The client as tests need it: names and ids are texts, bodies are JSON of any
//! shape, so that wrong ones can be sent, and no call is made twice. For all else it is
//! the typed client, which it dereferences to.

use crate::process::LIMIT;
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::Message;
use multiclaude_hybrid_client::protocol::token::Token;
use multiclaude_hybrid_client::{self as typed, Call, Error, Reply, Retries};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Display;
use std::ops::Deref;

/// A call; `path` is what follows `/v1`, or the repo.
fn built(
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: Option<String>,
) -> Call {
    let mut call = Call::new(method, path);
    for (name, value) in headers {
        call = call.header(name, *value);
    }
    match body {
        Some(body) => call.body(body),
        None => call,
    }
}

/// A coordinator, and the token to talk to it with.
#[derive(Debug, Clone)]
pub struct Client(typed::Client);

impl Deref for Client {
    type Target = typed::Client;

    fn deref(&self) -> &typed::Client {
        &self.0
    }
}

impl Client {
    /// A client of the coordinator at `base` (with its `/v1`).
    pub fn new(base: &str, token: &str) -> Self {
        let once = Retries { attempts: 1, ..Retries::default() };
        Self(typed::Client::new(base, token).unwrap().retries(once).timeout(LIMIT))
    }

    /// The same coordinator and connections with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self(self.0.with_token(token).unwrap())
    }

    /// Any call: `path` is what follows `/v1`.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<String>,
    ) -> Result<Reply, Error> {
        self.0.call(built(method, path, headers, body)).await
    }

    /// `POST /v1/tokens`.
    pub async fn create_token(&self, token: &Value) -> Result<Token, Error> {
        let body = Some(token.to_string());
        self.call(Method::POST, "/tokens", &[], body).await?.json()
    }

    /// `DELETE /v1/tokens/{id}`.
    pub async fn revoke_token(&self, id: impl Display) -> Result<(), Error> {
        let path = format!("/tokens/{id}");
        self.call(Method::DELETE, &path, &[], None).await.map(|_| ())
    }

    /// The resources of one repo, `owner/repo`.
    pub fn repo(&self, repo: &str) -> RepoClient {
        let repo = Repo::parse(repo).unwrap();
        RepoClient { repo: self.0.repo(&repo), client: self.clone() }
    }
}

#[derive(Debug, Clone)]
pub struct RepoClient {
    pub client: Client,
    repo: typed::RepoClient,
}

impl Deref for RepoClient {
    type Target = typed::RepoClient;

    fn deref(&self) -> &typed::RepoClient {
        &self.repo
    }
}

impl RepoClient {
    /// The same repo with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        let repo = self.repo.with_token(token).unwrap();
        Self { client: self.client.with_token(token), repo }
    }

    /// The typed client of the same repo.
    pub fn typed(&self) -> typed::RepoClient {
        self.repo.clone()
    }

    /// Any call: `path` is what follows the repo.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Error> {
        self.repo.call(built(method, path, headers, body.map(Value::to_string))).await
    }

    /// `PUT …/config`.
    pub async fn configure(&self, config: &Value) -> Result<Value, Error> {
        self.call(Method::PUT, "/config", &[], Some(config)).await?.json()
    }

    /// `POST …/agents`.
    pub async fn register(&self, agent: &Value) -> Result<Agent, Error> {
        self.call(Method::POST, "/agents", &[], Some(agent)).await?.json()
    }

    /// `GET …/agents?query`: the first page.
    pub async fn agents(&self, query: &str) -> Result<Vec<Agent>, Error> {
        self.call(Method::GET, &format!("/agents?{query}"), &[], None).await?.json()
    }

    /// `GET …/agents/{name}`.
    pub async fn agent(&self, name: &str) -> Result<Agent, Error> {
        self.call(Method::GET, &format!("/agents/{name}"), &[], None).await?.json()
    }

    /// `PATCH …/agents/{name}`.
    pub async fn update(&self, name: &str, change: &Value) -> Result<Agent, Error> {
        self.call(Method::PATCH, &format!("/agents/{name}"), &[], Some(change)).await?.json()
    }

    /// `DELETE …/agents/{name}`.
    pub async fn deregister(&self, name: &str) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("/agents/{name}"), &[], None).await.map(|_| ())
    }

    /// `POST …/messages`, under an idempotency key if one is given.
    pub async fn send(&self, message: &Value, key: Option<&str>) -> Result<Message, Error> {
        let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        self.call(Method::POST, "/messages", &headers, Some(message)).await?.json()
    }

    /// `GET …/agents/{name}/messages?query`: one page.
    pub async fn messages(&self, name: &str, query: &str) -> Result<Vec<Message>, Error> {
        let path = format!("/agents/{name}/messages?{query}");
        self.call(Method::GET, &path, &[], None).await?.json()
    }

    /// `GET …/messages/{id}`: the receipt.
    pub async fn receipt(&self, id: impl Display) -> Result<Message, Error> {
        self.call(Method::GET, &format!("/messages/{id}"), &[], None).await?.json()
    }

    /// `PATCH …/messages/{id}` with this status.
    pub async fn report(&self, id: impl Display, status: &str) -> Result<Message, Error> {
        self.patch_message(id, &json!({ "status": status })).await
    }

    /// `PATCH …/messages/{id}` with any body.
    pub async fn patch_message(&self, id: impl Display, body: &Value) -> Result<Message, Error> {
        self.call(Method::PATCH, &format!("/messages/{id}"), &[], Some(body)).await?.json()
    }
}
