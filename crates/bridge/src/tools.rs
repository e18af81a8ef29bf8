//! The tools of agents' MCP servers: names, arguments, descriptions, and the tools that
//! need only the API.
//!
//! The bridge calls them for the agents of this machine ([`crate::repo`]). Agents without
//! a bridge, which are workers of a runner and `multiclaude-hybrid mcp --agent`, use their
//! [`mailbox`]. Agents read these texts.

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

/// The description of a tool for its callers.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The name to call it by.
    pub name: &'static str,
    /// The purpose of the tool, for the agent.
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
            "Show how far a message that you have sent has come: stored, taken by the other machine, seen by the agent, acknowledged",
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

/// The arguments of tools without arguments.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct NoArguments {}

/// The arguments of `send_message`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Send {
    /// The agent's name, as `list_agents` shows it
    pub to: String,
    /// The text, at most 64 KiB
    pub body: String,
    /// The id of the message that this one answers
    pub reply_to: Option<String>,
}

/// The arguments of `list_messages`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct List {
    /// Those that you have acknowledged, too
    pub all: bool,
}

/// The arguments of tools about one message.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OfMessage {
    /// The message's id
    pub id: String,
    /// With control characters, exactly as it was sent; `note` in the answer says so if
    /// that text is no longer kept
    #[serde(default)]
    pub original: bool,
}

/// The arguments of `spawn_worker`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Spawn {
    /// The task of the worker
    pub task: String,
}

/// Reads the arguments of a tool.
///
/// # Errors
/// The fault in them, for the agent.
pub fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    let arguments = if arguments.is_null() { json!({}) } else { arguments };
    serde_json::from_value(arguments).map_err(|error| format!("the arguments are wrong: {error}"))
}

/// An agent, as `list_agents` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct AgentEntry {
    /// The name to send messages to.
    pub name: String,
    /// `worker`, `merge-queue`, …
    pub r#type: String,
    /// The owner of the agent.
    pub owner: String,
    /// `active`, `idle` or `stopped`.
    pub status: &'static str,
    /// Is it the caller?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub you: bool,
}

impl AgentEntry {
    /// The entry of `agent`, which callers address as `name`.
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

/// The first [`PREVIEW`] characters of a text.
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
/// It is not an id of the coordinator's.
pub fn message_id(text: &str) -> Result<MessageId, String> {
    MessageId::parse(text).ok_or_else(|| {
        format!("{text:?} is not the id of a message that was sent to or from another machine")
    })
}

/// Removes hidden characters from all texts of a result.
///
/// # Errors
/// The given error, likewise.
pub fn sanitised(result: Result<Value, String>) -> Result<Value, String> {
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

/// Calls a tool that needs only the API, on behalf of `name`; `None` if it is another
/// tool. `required`: this machine sends nothing unencrypted.
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
            let entry =
                |agent: &Agent| AgentEntry::of(agent, agent.name.as_str(), agent.name == *name);
            json!(agents.iter().map(entry).collect::<Vec<_>>())
        }),
        "receipt" => {
            async {
                let of: OfMessage = arguments(args.clone())?;
                let message = repo.receipt(&message_id(&of.id)?).await.map_err(text)?;
                Ok(receipt(&message))
            }
            .await
        }
        "spawn_worker" => {
            async {
                let Spawn { task } = arguments(args.clone())?;
                let (request, warning) = spawn::spawn(repo, name, &task, required).await?;
                let mut entry = worker_entry(&request);
                if let (Some(fields), Some(warning)) = (entry.as_object_mut(), warning) {
                    fields.insert("warning".to_owned(), json!(warning));
                }
                Ok(entry)
            }
            .await
        }
        "list_workers" => repo.workers(None).await.map_err(text).map(|requests| {
            let ended = |request: &SpawnRequest| {
                matches!(request.status, SpawnStatus::Completed | SpawnStatus::Failed)
            };
            let open = requests.iter().filter(|request| !ended(request));
            json!(open.map(worker_entry).collect::<Vec<_>>())
        }),
        _ => return None,
    })
}

/// The result of `receipt`: how far a message has come.
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

fn worker_entry(request: &SpawnRequest) -> Value {
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
    fn an_error_names_the_wrong_argument() {
        let wrong = arguments::<Send>(json!({"to": "fox"})).unwrap_err();
        assert!(wrong.contains("missing field `body`"), "{wrong}");
        assert!(!arguments::<List>(Value::Null).unwrap().all);
    }
}
