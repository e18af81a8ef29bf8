//! The tools of agents' MCP servers: their names, arguments and descriptions, and
//! those that need nothing but the API.
//!
//! The bridge calls them for the agents of this machine ([`crate::repo`]). Agents
//! without a bridge, which are workers of a runner and `multiclaude-hybrid mcp --agent`,
//! read their [`mailbox`]. The texts are read by agents.

pub mod mailbox;
pub mod spawn;

use crate::hints;
use multiclaude_hybrid_client::protocol::agent::Agent;
use multiclaude_hybrid_client::protocol::message::Message;
use multiclaude_hybrid_client::protocol::spawn::{SpawnRequest, SpawnStatus};
use multiclaude_hybrid_client::protocol::text::stripped;
use multiclaude_hybrid_client::protocol::{AgentName, MessageId};
use multiclaude_hybrid_client::{AgentFilter, Error, RepoClient};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Characters of a text that a list shows.
const PREVIEW: usize = 200;

/// A tool, as its callers see it.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The JSON Schema of its arguments.
    pub schema: Value,
}

/// All tools.
pub fn all() -> Vec<Tool> {
    fn tool<T: JsonSchema>(name: &'static str, description: &'static str) -> Tool {
        let schema = SchemaGenerator::default().into_root_schema_for::<T>();
        Tool { name, description, schema: schema.into() }
    }
    vec![
        tool::<NoArguments>(
            "list_agents",
            "List the agents that you can write to, on all machines, with their status",
        ),
        tool::<Send>(
            "send_message",
            "Send a message to an agent on any machine. The answer has the message's id: see receipt",
        ),
        tool::<List>(
            "list_messages",
            "List the messages that you have received, oldest first, with the beginning of each",
        ),
        tool::<OfMessage>("read_message", "Show a message that you have received as a whole"),
        tool::<OfMessage>(
            "ack_message",
            "Acknowledge a message that you have dealt with: its sender sees that",
        ),
        tool::<OfMessage>(
            "receipt",
            "Show how far a message that you have sent has come: stored, delivered to the other machine, seen by the agent, acknowledged",
        ),
        tool::<Spawn>(
            "spawn_worker",
            "Ask for a worker on another machine that works on a task. A runner has to claim the request",
        ),
        tool::<NoArguments>(
            "list_workers",
            "List the requests for workers of this repo that have not ended",
        ),
    ]
}

/// No arguments.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct NoArguments {}

/// A message to be sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Send {
    /// The agent's name, as `list_agents` shows it
    pub to: String,
    /// The text, at most 64 KiB
    pub body: String,
    /// The id of the message that this one answers
    pub reply_to: Option<String>,
}

/// Which messages are listed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct List {
    /// Those that you have acknowledged, too
    pub all: bool,
}

/// Names a message.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OfMessage {
    /// The message's id
    pub id: String,
    /// With control characters, exactly as it was sent; `note` in the answer says so if
    /// that text is no longer kept
    #[serde(default)]
    pub original: bool,
}

/// A worker that is asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Spawn {
    /// What the worker is to do
    pub task: String,
}

/// The arguments of a tool.
///
/// # Errors
/// What is wrong with them.
pub fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    let arguments = if arguments.is_null() { json!({}) } else { arguments };
    serde_json::from_value(arguments).map_err(|error| format!("the arguments are wrong: {error}"))
}

/// An agent, as `list_agents` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// What it is written to by.
    pub name: String,
    /// `worker`, `merge-queue`, …
    pub r#type: String,
    /// Whose it is.
    pub owner: String,
    /// `active`, `idle` or `stopped`.
    pub status: &'static str,
    /// Is it the one that asks?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub you: bool,
}

impl Shown {
    /// As others see it.
    pub fn of(agent: &Agent, name: &str, you: bool) -> Self {
        Self {
            name: name.to_owned(),
            r#type: agent.r#type.clone(),
            owner: agent.owner.to_string(),
            status: agent.status.as_str(),
            you,
        }
    }
}

/// The beginning of a text.
pub fn preview(text: &str) -> String {
    let mut preview: String = text.chars().take(PREVIEW).collect();
    if preview.len() < text.len() {
        preview.push('…');
    }
    preview
}

/// Reads a message's id.
///
/// # Errors
/// It is none.
pub fn message_id(text: &str) -> Result<MessageId, String> {
    MessageId::parse(text).ok_or_else(|| {
        format!("{text:?} is not the id of a message that was sent to or from another machine")
    })
}

/// A result as an agent may read it: without hidden characters in any of its texts.
///
/// # Errors
/// The same one, likewise.
pub fn shown(result: Result<Value, String>) -> Result<Value, String> {
    fn strip(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(stripped(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(strip).collect(),
            Value::Object(members) => {
                let strip_member =
                    |(key, value): (String, Value)| (stripped(&key).into_owned(), strip(value));
                members.into_iter().map(strip_member).collect()
            }
            other => other,
        }
    }
    result.map(strip).map_err(|error| stripped(&error).into_owned())
}

/// The tools that need nothing but the API, on behalf of `name`; nothing if it is
/// another tool. `required`: this machine sends nothing unencrypted.
pub async fn call_api(
    repo: &RepoClient,
    name: &AgentName,
    tool: &str,
    args: &Value,
    required: bool,
) -> Option<Result<Value, String>> {
    let text = |error: Error| hints::explained(&error);
    Some(match tool {
        "list_agents" => repo.agents(&AgentFilter::default()).await.map_err(text).map(|agents| {
            let shown = |agent: &Agent| Shown::of(agent, agent.name.as_str(), agent.name == *name);
            json!(agents.iter().map(shown).collect::<Vec<_>>())
        }),
        "receipt" => {
            async {
                let of: OfMessage = arguments(args.clone())?;
                let message = repo.receipt(&message_id(&of.id)?).await.map_err(text)?;
                Ok(receipt(&message))
            }
            .await
        }
        "spawn_worker" => match arguments(args.clone()) {
            Ok(wish) => spawn::spawn(repo, name, wish, required).await,
            Err(wrong) => Err(wrong),
        },
        "list_workers" => repo.workers(None).await.map_err(text).map(|requests| {
            let ended = |request: &SpawnRequest| {
                matches!(request.status, SpawnStatus::Completed | SpawnStatus::Failed)
            };
            let open = requests.iter().filter(|request| !ended(request));
            json!(open.map(worker).collect::<Vec<_>>())
        }),
        _ => return None,
    })
}

/// How far a message has come.
pub fn receipt(message: &Message) -> Value {
    json!({
        "id": message.id,
        "to": message.to,
        "status": message.status,
        "stored_at": message.created_at,
        "delivered_at": message.delivered_at,
        "seen_at": message.seen_at,
        "acked_at": message.acked_at,
        "failure_reason": message.failure_reason,
    })
}

fn worker(request: &SpawnRequest) -> Value {
    json!({
        "id": request.id,
        "task": preview(&request.task),
        "status": request.status,
        "worker": request.worker_name,
        "spawned_by": request.spawned_by,
        "created_at": request.created_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_schema_of_an_object() {
        for tool in all() {
            assert_eq!(tool.schema["type"], "object", "{}: {}", tool.name, tool.schema);
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        let wrong = arguments::<Send>(json!({"to": "fox"})).unwrap_err();
        assert!(wrong.contains("missing field `body`"), "{wrong}");
        assert!(!arguments::<List>(Value::Null).unwrap().all);
    }
}
