//! Calls tools on behalf of one local agent.

use super::RepoBridge;
use crate::clock;
use crate::connection::is_retryable;
use crate::dirs::{make_dir, names as entries_of, write_durably};
use crate::hints;
use crate::inbox::{Stage, Stored};
use crate::multiclaude::{LocalMessage, Status};
use crate::registry::unregistered;
use crate::seal::NotSealed;
use crate::tools::{self, AgentEntry, List, OfMessage, Send, arguments};
use chrono::{DateTime, SecondsFormat, Utc};
use multiclaude_hybrid_client::protocol::message::{NewMessage, Sender};
use multiclaude_hybrid_client::protocol::text::stripped;
use multiclaude_hybrid_client::protocol::{AgentName, ErrorCode, MessageId};
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::task::block_in_place;
use uuid::Uuid;

/// The most bytes of a text that multiclaude's daemon pastes.
const LOCAL_MAX: usize = 16_000;
/// The note for an agent that asks for an original that is no longer kept.
const ORIGINAL_GONE: &str = "the original is kept for 8 days and is gone: this is the text without its control \
characters; its sender may have the original";

impl RepoBridge {
    /// The registered name of a local agent.
    pub fn registered_name(&self, local: &str) -> Option<AgentName> {
        let record = self.registry.records.get(local)?;
        record.id.is_some().then_some(record.name)
    }

    /// Is the channel of a local agent open?
    pub fn has_channel(&self, local: &str) -> bool {
        self.shared.channels.has(&self.setup.nickname, local)
    }

    /// Calls a tool on behalf of a local agent.
    ///
    /// # Errors
    /// The reason why it failed, for the agent.
    pub async fn call_tool(&self, local: &str, tool: &str, args: Value) -> Result<Value, String> {
        if tool == "read_message" {
            // Its text is stripped already, or the original was requested.
            let of = arguments(args)?;
            return block_in_place(|| self.read_message(local, &of));
        }
        tools::sanitised(self.dispatch(local, tool, args).await)
    }

    async fn dispatch(&self, local: &str, tool: &str, args: Value) -> Result<Value, String> {
        match tool {
            "list_messages" => {
                let list = arguments(args)?;
                return block_in_place(|| self.list_messages(local, &list));
            }
            "ack_message" => {
                let of = arguments(args)?;
                return block_in_place(|| self.ack_message(local, &of));
            }
            _ => {}
        }
        let name = self.registered_name(local).ok_or_else(|| match self.refused().get(local) {
            Some(reason) => format!("{local} is not registered with the coordinator: {reason}"),
            None => format!("{local} is not registered with the coordinator yet; try again soon"),
        })?;
        match tool {
            "list_agents" => self.list_agents(&name).await,
            "send_message" => self.send_message(local, &name, arguments(args)?).await,
            _ => {
                let (repo, required) = (&self.connection.repo, self.setup.require_encryption);
                let called = tools::call_api(repo, &name, tool, &args, required).await;
                called.unwrap_or_else(|| Err(format!("there is no tool {tool}")))
            }
        }
    }

    async fn list_agents(&self, name: &AgentName) -> Result<Value, String> {
        if self.registry.refresh().await.is_err() && self.registry.read().config.is_none() {
            return Err("the coordinator is away, and the agents are not known".to_owned());
        }
        let records = self.registry.records.all();
        let agents = self.registry.read().agents.into_iter().map(|agent| {
            // Agents of this machine are addressed by their local names.
            let here = records.iter().find(|(_, record)| record.name == agent.name);
            let called = here.map_or(agent.name.as_str(), |(local, _)| local);
            AgentEntry::of(&agent, called, agent.name == *name)
        });
        Ok(json!(agents.collect::<Vec<_>>()))
    }

    async fn send_message(
        &self,
        local: &str,
        from: &AgentName,
        message: Send,
    ) -> Result<Value, String> {
        if self.spool.is_local(&message.to, self.shared.state.read().as_deref()) {
            return block_in_place(|| self.send_here(local, &message));
        }
        let to = AgentName::parse(&message.to)
            .map_err(|error| format!("the name {:?} {error}", message.to))?;
        let mut new = NewMessage::new(Sender::Agent(from.clone()), to.clone(), &message.body);
        new.reply_to = message.reply_to.as_deref().map(tools::message_id).transpose()?;
        if self.outbox.seal.needs_key_of(&to, &self.registry) {
            let _ = self.registry.refresh().await;
        }
        let sealed = self.outbox.seal.seal(new, &self.registry).map_err(|error| match error {
            NotSealed::Later(reason) | NotSealed::Refused(reason) => reason,
        })?;
        let key = Uuid::new_v4().to_string();
        let sent = self.connection.note(self.connection.repo.send(&sealed, Some(&key)).await);
        match sent {
            Ok(sent) => Ok(json!({ "id": sent.id, "to": sent.to, "status": sent.status })),
            Err(error) if is_retryable(&error) => {
                block_in_place(|| self.send_later(local, &message)).map_err(|later| {
                    format!("not sent: {error}, and it could not be kept for later: {later}")
                })
            }
            Err(error) if error.code() == Some(ErrorCode::AgentNotFound) => {
                Err(format!("{}, and so does the tool list_agents", unregistered(&to)))
            }
            Err(error) => Err(hints::explained(&error)),
        }
    }

    /// Sends to an agent of this machine, as `multiclaude message send` does.
    fn send_here(&self, local: &str, send: &Send) -> Result<Value, String> {
        if send.body.len() > LOCAL_MAX {
            return Err(format!(
                "not sent: multiclaude delivers at most {LOCAL_MAX} bytes to an agent of this machine, and this text \
                 has {}; put it into a file, and send the path",
                send.body.len()
            ));
        }
        let message =
            LocalMessage { body: stripped(&send.body).into_owned(), ..written(local, send) };
        let dir = self.spool.messages.join(&send.to);
        let done = make_dir(&dir).and_then(|()| message.write(&dir));
        done.map_err(|error| format!("not sent: {error}"))?;
        Ok(json!({ "id": message.id, "to": send.to, "status": "pending" }))
    }

    /// While the coordinator is away, queues the message.
    fn send_later(&self, local: &str, send: &Send) -> Result<Value, String> {
        let message = written(local, send);
        let dir = self.spool.dirs.out().join(&send.to);
        let done = make_dir(&dir).and_then(|()| message.write(&dir));
        done.map_err(|error| error.to_string())?;
        self.shared.capture.nudge();
        Ok(json!({ "id": message.id, "to": send.to, "status": "waits on this machine",
            "note": "the coordinator is away: the message is sent when it is back" }))
    }

    /// The file of a local agent's message.
    fn message_file(&self, local: &str, id: &str) -> Result<(PathBuf, LocalMessage), String> {
        let none = || format!("you have no message {id}; the tool list_messages shows the ids");
        // The id must be a file name without any path.
        if id.is_empty() || id.starts_with('.') || id.contains(['/', '\0']) {
            return Err(none());
        }
        let path = self.spool.messages.join(local).join(format!("{id}.json"));
        let message = LocalMessage::read(&path).map_err(|error| error.to_string())?;
        message.map(|message| (path, message)).ok_or_else(none)
    }

    fn list_messages(&self, local: &str, list: &List) -> Result<Value, String> {
        let dir = self.spool.messages.join(local);
        let mut found: Vec<LocalMessage> = Vec::new();
        for name in entries_of(&dir).map_err(|error| error.to_string())? {
            let path = dir.join(name);
            if path.extension().is_some_and(|extension| extension == "json")
                && let Ok(Some(message)) = LocalMessage::read(&path)
            {
                found.push(message);
            }
        }
        found.retain(|message| list.all || message.acked_at.is_none());
        found.sort_by_key(LocalMessage::nanos);
        let listed = found.iter().map(|message| {
            json!({ "id": message.id, "from": message.from, "sent_at": message.timestamp,
                "status": message.status, "preview": tools::preview(&message.body) })
        });
        Ok(json!(listed.collect::<Vec<_>>()))
    }

    fn read_message(&self, local: &str, of: &OfMessage) -> Result<Value, String> {
        let (path, mut message) = self.message_file(local, &of.id)?;
        let original = if of.original { self.original(local, &of.id)? } else { Original::AsShown };
        if matches!(message.status, Status::Pending | Status::Delivered) {
            message.status = Status::Read;
            rewrite(&path, &message)?;
        }
        let (body, note) = match original {
            Original::AsShown => (message.body, None),
            Original::Kept(text) => (text, None),
            Original::Gone => (message.body, Some(ORIGINAL_GONE)),
        };
        let mut answer = json!({ "id": message.id, "from": message.from,
            "sent_at": message.timestamp, "body": body });
        if let (Some(fields), Some(note)) = (answer.as_object_mut(), note) {
            fields.insert("note".to_owned(), json!(note));
        }
        Ok(answer)
    }

    fn ack_message(&self, local: &str, of: &OfMessage) -> Result<Value, String> {
        let (path, mut message) = self.message_file(local, &of.id)?;
        if message.acked_at.is_none() {
            let now = DateTime::<Utc>::from_timestamp_nanos(clock::wall_nanos());
            message.acked_at = Some(now.to_rfc3339_opts(SecondsFormat::Nanos, true));
            message.status = Status::Acked;
            rewrite(&path, &message)?;
        }
        Ok(json!({ "id": message.id, "status": "acked" }))
    }

    fn original(&self, local: &str, id: &str) -> Result<Original, String> {
        let store = self.inbox.store();
        match Stage::ALL.into_iter().find_map(|stage| store.get(local, stage, id).ok()) {
            Some(Stored::Message { message, .. }) => {
                self.outbox.seal.open(&message).map(Original::Kept)
            }
            // From an agent of this machine, or from the bridge.
            Some(Stored::Notice { .. }) => Ok(Original::AsShown),
            None if MessageId::parse(id).is_none() => Ok(Original::AsShown),
            None => Ok(Original::Gone),
        }
    }
}

/// A message's text exactly as it was sent.
enum Original {
    /// It is the text of its file.
    AsShown,
    /// The store has this text.
    Kept(String),
    /// It was removed: see [`crate::inbox::Store::prune`].
    Gone,
}

/// A new message, as multiclaude would write it.
fn written(local: &str, send: &Send) -> LocalMessage {
    let id = Uuid::new_v4().simple().to_string();
    let now = DateTime::<Utc>::from_timestamp_nanos(clock::wall_nanos());
    LocalMessage {
        id: format!("msg-{}-{}", &id[..8], &id[8..12]),
        from: local.to_owned(),
        to: send.to.clone(),
        timestamp: now.to_rfc3339_opts(SecondsFormat::Nanos, true),
        body: send.body.clone(),
        status: Status::Pending,
        acked_at: None,
    }
}

fn rewrite(path: &std::path::Path, message: &LocalMessage) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(message).map_err(|error| error.to_string())?;
    write_durably(path, &text, 0o600).map_err(|error| error.to_string())
}
