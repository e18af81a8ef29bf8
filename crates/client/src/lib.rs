//! Async client of the Coordination API.
//!
//! *In scope:* one method a call, typed with `multiclaude-hybrid-protocol`,
//! over one pool of connections, and streams. *Out of scope so far:* retries; a
//! caller that wants to repeat a send gives it an idempotency key.
//!
//! ```no_run
//! # async fn example() -> Result<(), multiclaude_hybrid_client::Error> {
//! use multiclaude_hybrid_client::Client;
//! use multiclaude_hybrid_protocol::message::Sender;
//!
//! let client = Client::new("http://127.0.0.1:8787/v1", "mcu_…")?;
//! let repo = client.repo("acme", "app");
//! repo.register(&serde_json::json!({"name": "ws", "type": "workspace"})).await?;
//! let sent = repo.send(&serde_json::json!({"from": "ws", "to": "queue", "body": "hi"}), None).await?;
//! assert_eq!(sent.from.to_string(), "ws");
//! # Ok(())
//! # }
//! ```

mod stream;

pub use stream::{Event, Stream};

use multiclaude_hybrid_protocol::agent::Agent;
use multiclaude_hybrid_protocol::error::Problem;
use multiclaude_hybrid_protocol::message::Message;
use multiclaude_hybrid_protocol::token::{Token, WhoAmI};
use multiclaude_hybrid_protocol::{AgentId, ErrorCode};
use reqwest::{Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The coordinator refused, and says why.
    #[error("{}: {}", .0.status, .0.detail)]
    Refused(Box<Problem>),
    /// The coordinator could not be reached, or did not answer in full.
    #[error("the coordinator cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// A stream broke, or could not be opened.
    #[error("the stream broke: {0}")]
    Stream(Box<tokio_tungstenite::tungstenite::Error>),
    /// Something else than the coordinator answered.
    #[error("the answer (status {status}) is not the coordinator's: {text}")]
    Unexpected {
        /// Its status.
        status: u16,
        /// Its body.
        text: String,
    },
}

impl Error {
    /// The coordinator's error code, if it is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }
}

/// What an answer that is no success means.
fn refused(status: StatusCode, text: String) -> Error {
    match serde_json::from_str::<Problem>(&text) {
        Ok(problem) => Error::Refused(Box::new(problem)),
        Err(_) => Error::Unexpected {
            status: status.as_u16(),
            text,
        },
    }
}

/// A successful answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.text).map_err(|_| Error::Unexpected {
            status: self.status.as_u16(),
            text: self.text.clone(),
        })
    }
}

/// A coordinator, and the token to talk to it with.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// A client of the coordinator at `base` (with its `/v1`).
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        Ok(Self {
            http: reqwest::Client::builder().build()?,
            base: base.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// The same coordinator and connections with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// Any call: `path` is what follows `/v1`.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Reply, Error> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        if status.is_success() {
            return Ok(Reply {
                status,
                headers,
                text,
            });
        }
        Err(refused(status, text))
    }

    async fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Reply, Error> {
        self.call(method, path, &[], Some(body.to_string())).await
    }

    /// `GET /v1/whoami`.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.call(Method::GET, "/whoami", &[], None).await?.json()
    }

    /// `POST /v1/tokens`.
    pub async fn create_token(&self, token: &Value) -> Result<Token, Error> {
        self.send_json(Method::POST, "/tokens", token).await?.json()
    }

    /// `GET /v1/tokens`: all of them, page by page.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        let mut tokens: Vec<Token> = Vec::new();
        loop {
            let after = tokens.last().map_or("", |token| token.id.as_str());
            let path = format!("/tokens?limit=500&after={after}");
            let page = self.call(Method::GET, &path, &[], None).await?;
            tokens.extend(page.json::<Vec<Token>>()?);
            if !page.headers.contains_key(header::LINK) {
                return Ok(tokens);
            }
        }
    }

    /// `DELETE /v1/tokens/{id}`.
    pub async fn revoke_token(&self, id: &str) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("/tokens/{id}"), &[], None)
            .await
            .map(|_| ())
    }

    /// The resources of one repo.
    pub fn repo(&self, owner: &str, repo: &str) -> RepoClient {
        RepoClient {
            client: self.clone(),
            path: format!("/repos/{owner}/{repo}"),
        }
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
        Self {
            client: self.client.with_token(token),
            path: self.path.clone(),
        }
    }

    /// Any call: `path` is what follows the repo.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Error> {
        let path = format!("{}{path}", self.path);
        self.client
            .call(method, &path, headers, body.map(Value::to_string))
            .await
    }

    /// `POST …/agents`.
    pub async fn register(&self, agent: &Value) -> Result<Agent, Error> {
        self.call(Method::POST, "/agents", &[], Some(agent))
            .await?
            .json()
    }

    /// `GET …/agents?query`: the first page.
    pub async fn agents(&self, query: &str) -> Result<Vec<Agent>, Error> {
        self.call(Method::GET, &format!("/agents?{query}"), &[], None)
            .await?
            .json()
    }

    /// `GET …/agents/{name}`.
    pub async fn agent(&self, name: &str) -> Result<Agent, Error> {
        self.call(Method::GET, &format!("/agents/{name}"), &[], None)
            .await?
            .json()
    }

    /// `PATCH …/agents/{name}`.
    pub async fn update(&self, name: &str, change: &Value) -> Result<Agent, Error> {
        self.call(Method::PATCH, &format!("/agents/{name}"), &[], Some(change))
            .await?
            .json()
    }

    /// `DELETE …/agents/{name}`.
    pub async fn deregister(&self, name: &str) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("/agents/{name}"), &[], None)
            .await
            .map(|_| ())
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
        self.call(
            Method::POST,
            &format!("/agents/{name}/endpoint/test"),
            &[],
            None,
        )
        .await?
        .json()
    }

    /// `POST …/messages`, under an idempotency key if one is given.
    pub async fn send(&self, message: &Value, key: Option<&str>) -> Result<Message, Error> {
        let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        self.call(Method::POST, "/messages", &headers, Some(message))
            .await?
            .json()
    }

    /// `GET …/agents/{name}/messages?query`: one page.
    pub async fn messages(&self, name: &str, query: &str) -> Result<Vec<Message>, Error> {
        let path = format!("/agents/{name}/messages?{query}");
        self.call(Method::GET, &path, &[], None).await?.json()
    }

    /// `GET …/messages/{id}`: the receipt.
    pub async fn receipt(&self, id: &str) -> Result<Message, Error> {
        self.call(Method::GET, &format!("/messages/{id}"), &[], None)
            .await?
            .json()
    }

    /// `PATCH …/messages/{id}`, for the incarnation `agent` if one is given.
    pub async fn report(
        &self,
        id: &str,
        status: &str,
        agent: Option<&AgentId>,
    ) -> Result<Message, Error> {
        let headers: Vec<_> = agent.iter().map(|id| ("agent-id", id.as_str())).collect();
        let body = serde_json::json!({ "status": status });
        self.call(
            Method::PATCH,
            &format!("/messages/{id}"),
            &headers,
            Some(&body),
        )
        .await?
        .json()
    }
}
