//! The client as tests need it: bodies are JSON of any shape, so that wrong
//! ones can be sent, and no call is made twice.

use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::Message;
use multiclaude_hybrid_client::protocol::token::{Token, WhoAmI};
use multiclaude_hybrid_client::protocol::{AgentId, AgentName, Repo};
use multiclaude_hybrid_client::{self as typed, BaseUrl, Call, Error, Reply, Retries, Stream};
use reqwest::Method;
use serde_json::{Value, json};

/// A coordinator, and the token to talk to it with.
#[derive(Debug, Clone)]
pub struct Client(typed::Client);

impl Client {
    /// A client of the coordinator at `base` (with its `/v1`).
    ///
    /// # Errors
    /// If `base` is no URL or `token` no header's value.
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        let once = Retries { attempts: 1, ..Retries::default() };
        let client = typed::Client::builder(BaseUrl::parse(base, false)?);
        client.retries(once).build(token).map(Self)
    }

    /// The typed client, which makes no call twice either.
    pub fn typed(&self) -> &typed::Client {
        &self.0
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
        let mut call = Call::new(method, path);
        for (name, value) in headers {
            call = call.header(name, *value);
        }
        if let Some(body) = body {
            call = call.body(body);
        }
        self.0.call(call).await
    }

    /// `GET /v1/whoami`.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.0.whoami().await
    }

    /// `POST /v1/tokens`.
    pub async fn create_token(&self, token: &Value) -> Result<Token, Error> {
        let body = Some(token.to_string());
        self.call(Method::POST, "/tokens", &[], body).await?.json()
    }

    /// `GET /v1/tokens`.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.0.tokens().await
    }

    /// `DELETE /v1/tokens/{id}`.
    pub async fn revoke_token(&self, id: &str) -> Result<(), Error> {
        let path = format!("/tokens/{id}");
        self.call(Method::DELETE, &path, &[], None).await.map(|_| ())
    }

    /// The resources of one repo.
    pub fn repo(&self, owner: &str, repo: &str) -> RepoClient {
        RepoClient { client: self.clone(), path: format!("/repos/{owner}/{repo}") }
    }
}

/// The resources of one repo.
#[derive(Debug, Clone)]
pub struct RepoClient {
    /// The client underneath.
    pub client: Client,
    path: String,
}

impl RepoClient {
    /// The same repo with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { client: self.client.with_token(token), path: self.path.clone() }
    }

    /// The same repo for the typed client.
    pub fn typed(&self) -> typed::RepoClient {
        let repo = self.path.trim_start_matches("/repos/");
        self.client.typed().repo(&Repo::parse(repo).unwrap())
    }

    /// Any call: `path` is what follows the repo.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Error> {
        let path = format!("{}{path}", self.path);
        self.client.call(method, &path, headers, body.map(Value::to_string)).await
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

    /// `POST …/agents/{name}/endpoint/secret`: the new secret.
    pub async fn rotate_secret(&self, name: &str) -> Result<String, Error> {
        let path = format!("/agents/{name}/endpoint/secret");
        let answer: Value = self.call(Method::POST, &path, &[], None).await?.json()?;
        let secret = answer.get("webhook_secret").and_then(Value::as_str);
        Ok(secret.unwrap_or_default().to_owned())
    }

    /// `POST …/agents/{name}/endpoint/test`.
    pub async fn test_endpoint(&self, name: &str) -> Result<Value, Error> {
        let path = format!("/agents/{name}/endpoint/test");
        self.call(Method::POST, &path, &[], None).await?.json()
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
    pub async fn receipt(&self, id: &str) -> Result<Message, Error> {
        self.call(Method::GET, &format!("/messages/{id}"), &[], None).await?.json()
    }

    /// `PATCH …/messages/{id}`, for the incarnation `agent` if one is given.
    pub async fn report(
        &self,
        id: &str,
        status: &str,
        agent: Option<&AgentId>,
    ) -> Result<Message, Error> {
        let headers: Vec<_> = agent.iter().map(|id| ("agent-id", id.as_str())).collect();
        let body = json!({ "status": status });
        let path = format!("/messages/{id}");
        self.call(Method::PATCH, &path, &headers, Some(&body)).await?.json()
    }

    /// `PATCH …/messages/{id}` with any body.
    pub async fn patch_message(&self, id: &str, body: &Value) -> Result<Message, Error> {
        self.call(Method::PATCH, &format!("/messages/{id}"), &[], Some(body)).await?.json()
    }

    /// `GET …/agents/{name}/stream`.
    pub async fn stream(&self, name: &str, agent: Option<&AgentId>) -> Result<Stream, Error> {
        let name = AgentName::parse(name).unwrap();
        self.typed().stream(&name, agent).await
    }
}
