//! The tools on an agent's own mailbox, for agents without a bridge: their messages stay
//! at the coordinator until they read them.

use super::{
    List, OfMessage, Send as SendArguments, arguments, call_api, message_id, preview, receipt,
    sanitised,
};
use crate::hints;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::config::Encrypt;
use multiclaude_hybrid_client::protocol::message::{
    Message, MessageStatus, NewMessage, Report, Sender,
};
use multiclaude_hybrid_client::{MessageFilter, RepoClient};
use serde_json::{Value, json};
use uuid::Uuid;

/// Encrypts and decrypts messages.
pub trait Seal: Sync {
    /// Encrypts a message, if that is required or possible.
    ///
    /// # Errors
    /// Why it must not be sent.
    fn seal(&self, message: NewMessage) -> impl Future<Output = Result<NewMessage, String>> + Send;

    /// The text of a message.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn open(&self, message: Message) -> Result<String, String>;

    /// Must this machine encrypt everything that it sends?
    fn required(&self) -> bool;
}

/// No encryption, for workers without a key: what has to be encrypted is not sent.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// The repo's client.
    pub repo: &'a RepoClient,
    /// Must this machine encrypt everything that it sends?
    pub required: bool,
}

impl Seal for Plain<'_> {
    async fn seal(&self, message: NewMessage) -> Result<NewMessage, String> {
        let rule = if self.required {
            "this machine encrypts all messages of this repo (--require-encryption)"
        } else {
            match self.repo.config().await.map_err(|error| hints::explained(&error))?.value.encrypt
            {
                Some(Encrypt::Always) => {
                    "all messages of this repo are encrypted (--encrypt=always)"
                }
                Some(Encrypt::WhenPossible) | None => return Ok(message),
            }
        };
        Err(format!(
            "not sent: {rule}, and a runner's worker has no key. Write it into the pull request or the \
             summary of your work"
        ))
    }

    fn required(&self) -> bool {
        self.required
    }

    fn open(&self, message: Message) -> Result<String, String> {
        Ok(message.body)
    }
}

/// Calls any tool on behalf of `name`.
///
/// # Errors
/// The reason why it failed, for the agent.
pub async fn call(
    repo: &RepoClient,
    name: &AgentName,
    seal: &impl Seal,
    tool: &str,
    args: Value,
) -> Result<Value, String> {
    sanitised(dispatch(repo, name, seal, tool, args).await)
}

async fn dispatch(
    repo: &RepoClient,
    name: &AgentName,
    seal: &impl Seal,
    tool: &str,
    args: Value,
) -> Result<Value, String> {
    match tool {
        "send_message" => send(repo, name, seal, arguments(args)?).await,
        "list_messages" => list(repo, name, seal, &arguments(args)?).await,
        "read_message" => {
            let message = received(repo, name, args).await?;
            let (id, from, sent_at) =
                (message.id.clone(), message.from.clone(), message.created_at);
            let opened = seal.open(message);
            // The agent has received a message that it cannot open, but not seen its text.
            let report =
                if opened.is_ok() { Report::SEEN } else { MessageStatus::Delivered.into() };
            repo.report(&id, report, None).await.map_err(|error| hints::explained(&error))?;
            Ok(json!({ "id": id, "from": from, "sent_at": sent_at, "body": readable(opened) }))
        }
        "ack_message" => {
            let id = received(repo, name, args).await?.id;
            let acked = repo
                .report(&id, MessageStatus::Acked, None)
                .await
                .map_err(|error| hints::explained(&error))?;
            Ok(receipt(&acked))
        }
        _ => {
            let called = call_api(repo, name, tool, &args, seal.required()).await;
            called.unwrap_or_else(|| Err(format!("there is no tool {tool}")))
        }
    }
}

fn readable(opened: Result<String, String>) -> String {
    opened.unwrap_or_else(|reason| {
        format!("(This message is encrypted and cannot be read here: {reason})")
    })
}

async fn send(
    repo: &RepoClient,
    name: &AgentName,
    seal: &impl Seal,
    message: SendArguments,
) -> Result<Value, String> {
    let to = AgentName::parse(&message.to)
        .map_err(|error| format!("the name {:?} {error}", message.to))?;
    let reply_to = message.reply_to.as_deref().map(message_id).transpose()?;
    let from = Sender::Agent(name.clone());
    let message = NewMessage { reply_to, ..NewMessage::new(from, to, &message.body) };
    let sealed = seal.seal(message).await?;
    let key = Uuid::new_v4().to_string();
    let sent = repo.send(&sealed, Some(&key)).await.map_err(|error| hints::explained(&error))?;
    Ok(json!({ "id": sent.id, "to": sent.to, "status": sent.status }))
}

async fn list(
    repo: &RepoClient,
    name: &AgentName,
    seal: &impl Seal,
    list: &List,
) -> Result<Value, String> {
    let open = |message: &Message| {
        list.all || matches!(message.status, MessageStatus::Pending | MessageStatus::Delivered)
    };
    let line = |message: Message| {
        json!({ "id": message.id, "from": message.from, "sent_at": message.created_at,
            "status": message.status, "preview": preview(&readable(seal.open(message))) })
    };
    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let filter = MessageFilter { limit: Some(500), after, ..MessageFilter::default() };
        let page = repo.messages(name, &filter).await.map_err(|error| hints::explained(&error))?;
        after = page.items.last().map(|last| last.id.clone());
        // Previews only: a mailbox can hold hundreds of megabytes.
        lines.extend(page.items.into_iter().filter(open).map(line));
        if !page.more || after.is_none() {
            return Ok(json!(lines));
        }
    }
}

/// A message to this agent. Messages to other agents of its owner are refused.
async fn received(repo: &RepoClient, name: &AgentName, args: Value) -> Result<Message, String> {
    let of: OfMessage = arguments(args)?;
    let message =
        repo.receipt(&message_id(&of.id)?).await.map_err(|error| hints::explained(&error))?;
    if message.to == *name {
        return Ok(message);
    }
    Err(format!("{} is not a message for {name}; the tool list_messages shows the ids", of.id))
}
