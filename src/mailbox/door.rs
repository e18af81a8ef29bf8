//! Calls a mailbox, from a Worker or another mailbox.

use super::Refused;
use super::command::{Command, OPEN_STREAM, OpenStream, ROWS, SPAWNS, StoreMessage, wire_fields};
use crate::context::Context;
use crate::error::ApiError;
use multiclaude_hybrid_core::mailbox::AgentRef;
use multiclaude_hybrid_protocol::{AgentName, Repo};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use worker::wasm_bindgen::JsValue;
use worker::{Env, Headers, Response, web_sys};

/// The URL of every call; only the object's name matters.
const URL: &str = "https://mailbox/";

/// A mailbox as a Worker (or another mailbox) sees it.
pub struct Door(worker::Stub);

/// `owner/repo/agent`: the object's name.
pub fn mailbox_name(repo: &Repo, agent: &AgentName) -> String {
    format!("{repo}/{agent}")
}

impl Door {
    pub fn of(env: &Env, repo: &Repo, agent: &AgentName) -> worker::Result<Self> {
        env.durable_object("MAILBOX")?.get_by_name(&mailbox_name(repo, agent)).map(Self)
    }

    /// The mailbox that pushes a repo's requests for workers. No agent's name has an @.
    pub fn of_spawns(env: &Env, repo: &Repo) -> worker::Result<Self> {
        env.durable_object("MAILBOX")?.get_by_name(&format!("{repo}{SPAWNS}")).map(Self)
    }

    /// Sends a command and discards the answer; a refusal is an error.
    pub async fn execute(&self, command: &Command, fields: &str) -> Result<(), Refused> {
        let mut response = self.post(command, fields).await?;
        let text = response.text().await?;
        if response.status_code() == 409 { Err(Refused::read(&text)) } else { Ok(()) }
    }

    /// Stores a notice from `system` in the mailbox of `to`, once for each `scope`, unless that
    /// incarnation is gone.
    pub async fn notify(
        env: &Env,
        repo: &Repo,
        to: &AgentRef,
        scope: String,
        body: &str,
        metadata: Value,
    ) -> Result<(), Refused> {
        let fields = wire_fields(&json!({
            "from": "system", "from_owner": "system", "to": to.name, "repo": repo, "body": body,
            "metadata": metadata,
        }))?;
        let command = Command::Send(StoreMessage {
            sender: None,
            key: Some((scope.clone(), scope)),
            ttl_secs: None,
            notice_for: Some(to.id.clone()),
        });
        match Self::of(env, repo, &to.name)?.execute(&command, &fields).await {
            Err(Refused::AgentNotFound | Refused::Superseded) => Ok(()),
            stored => stored,
        }
    }

    /// Sends a command; returns the object's response, unread.
    pub async fn post(&self, command: &Command, fields: &str) -> worker::Result<Response> {
        let mut text = serde_json::to_string(command)?;
        text.reserve(fields.len() + 1);
        text.push('\n');
        text.push_str(fields);
        // The bare request of the runtime: the crate's own sets two dozen
        // properties of Cloudflare's edge on every one.
        let init = web_sys::RequestInit::new();
        init.set_method("POST");
        init.set_body(&JsValue::from_str(&text));
        self.fetch(&init).await
    }

    /// Opens a stream; returns the object's response, with its WebSocket.
    pub async fn open_stream(&self, client: &OpenStream) -> worker::Result<Response> {
        let headers = Headers::new();
        headers.set("upgrade", "websocket")?;
        headers.set(OPEN_STREAM, &serde_json::to_string(client)?)?;
        let init = web_sys::RequestInit::new();
        init.set_headers(&headers.0);
        self.fetch(&init).await
    }

    async fn fetch(&self, init: &web_sys::RequestInit) -> worker::Result<Response> {
        let request =
            web_sys::Request::new_with_str_and_init(URL, init).map_err(worker::Error::from)?;
        self.0.fetch_with_request(request.into()).await
    }
}

/// Sends a command to the mailbox of `agent`: one object request.
///
/// The response has the body for the client, unread, and status 200 or 201.
pub async fn send_command(
    context: &Context,
    repo: &Repo,
    agent: &AgentName,
    command: &Command,
    fields: &str,
) -> Result<Response, ApiError> {
    call(context, repo, agent, async |door| door.post(command, fields).await).await
}

/// The same for a stream: the response has the client's end of it.
pub async fn open_stream(
    context: &Context,
    repo: &Repo,
    agent: &AgentName,
    client: &OpenStream,
) -> Result<Response, ApiError> {
    call(context, repo, agent, async |door| door.open_stream(client).await).await
}

/// Calls a mailbox, and notes what the answer cost; a refusal becomes an error.
async fn call(
    context: &Context,
    repo: &Repo,
    agent: &AgentName,
    request: impl AsyncFnOnce(Door) -> worker::Result<Response>,
) -> Result<Response, ApiError> {
    let called = async { request(Door::of(&context.env, repo, agent)?).await };
    let response = called.await.map_err(|cause| ApiError::unavailable("The mailbox", cause));
    let mut response = response?;
    let rows = response.headers().get(ROWS)?.and_then(|rows| rows.parse().ok());
    context.note_mailbox(rows.unwrap_or(0));
    if response.status_code() == 409 {
        return Err(Refused::read(&text(&mut response).await?).into());
    }
    Ok(response)
}

/// The text of an answer. A dying object counts as unavailable.
pub async fn text(response: &mut Response) -> Result<String, ApiError> {
    response.text().await.map_err(|cause| ApiError::unavailable("The mailbox", cause))
}

/// An answer that the Worker itself reads.
pub async fn json<T: DeserializeOwned>(mut response: Response) -> Result<T, ApiError> {
    Ok(serde_json::from_str(&text(&mut response).await?)?)
}
