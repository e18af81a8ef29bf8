//! `mcp --agent`: without a bridge, with a login of this machine.

use super::{Call, serve};
use crate::crypt;
use crate::failure::Outcome;
use crate::session::{InRepo, Need, Session};
use multiclaude_hybrid_bridge::tools::{self, List, OfMessage, Send, arguments};
use multiclaude_hybrid_client::MessageFilter;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::message::{Message, MessageStatus, NewMessage, Sender};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Serves the tools on behalf of a registered agent.
pub(super) async fn run(session: &Session, repo: Option<&str>, name: &AgentName) -> Outcome {
    let at = session.in_repo(repo, Need::Use)?;
    // A wrong name, or a token that cannot use it, is said before a client waits.
    let agent = at.client.agent(name).await;
    agent.map_err(|error| session.explain(error.into(), &at.login))?;
    let (calls, mut called) = mpsc::channel::<Call>(8);
    let answering = async {
        while let Some((tool, args, result)) = called.recv().await {
            let _ = result.send(call(session, &at, name, &tool, args).await);
        }
    };
    tokio::select! {
        done = serve(calls) => done,
        () = answering => Ok(()),
    }
}

async fn call(
    session: &Session,
    at: &InRepo,
    name: &AgentName,
    tool: &str,
    args: Value,
) -> Result<Value, String> {
    match tool {
        "send_message" => send(session, at, name, arguments(args)?).await,
        "list_messages" => list(session, at, name, &arguments(args)?).await,
        "read_message" => read(session, at, name, &arguments(args)?).await,
        "ack_message" => {
            let of: OfMessage = arguments(args)?;
            let id = received(at, name, &of.id).await?.id;
            let acked = at.client.report(&id, MessageStatus::Acked, None).await;
            acked.map(|message| tools::receipt(&message)).map_err(|error| error.to_string())
        }
        _ => {
            let called = tools::call_api(&at.client, name, tool, &args).await;
            called.unwrap_or_else(|| Err(format!("there is no tool {tool}")))
        }
    }
}

async fn send(
    session: &Session,
    at: &InRepo,
    name: &AgentName,
    wish: Send,
) -> Result<Value, String> {
    let to =
        AgentName::parse(&wish.to).map_err(|error| format!("the name {:?} {error}", wish.to))?;
    let reply_to = wish.reply_to.as_deref().map(tools::message_id).transpose()?;
    let from = Sender::Agent(name.clone());
    let message = NewMessage { reply_to, ..NewMessage::new(from, to, &wish.body) };
    let sealed = crypt::seal(session, at, message, None).await;
    let sealed = sealed.map_err(|failure| failure.message)?;
    let key = Uuid::new_v4().to_string();
    let sent = at.client.send(&sealed, Some(&key)).await.map_err(|error| error.to_string())?;
    Ok(json!({ "id": sent.id, "to": sent.to, "status": sent.status }))
}

fn text(session: &Session, at: &InRepo, message: Message) -> String {
    let opened = crypt::Reader::new(session, &at.repo).open(message);
    match opened.error {
        Some(error) => format!("(This message is encrypted and cannot be read here: {error})"),
        None => opened.message.body,
    }
}

async fn list(
    session: &Session,
    at: &InRepo,
    name: &AgentName,
    list: &List,
) -> Result<Value, String> {
    let filter = MessageFilter { limit: Some(500), ..MessageFilter::default() };
    let page = at.client.messages(name, &filter).await.map_err(|error| error.to_string())?;
    let open = |message: &Message| {
        list.all || matches!(message.status, MessageStatus::Pending | MessageStatus::Delivered)
    };
    let shown = page.items.into_iter().filter(open).map(|message| {
        json!({ "id": message.id, "from": message.from, "sent_at": message.created_at,
            "status": message.status, "preview": tools::preview(&text(session, at, message)) })
    });
    Ok(json!(shown.collect::<Vec<_>>()))
}

/// A message for this agent, and for no other of the same owner.
async fn received(at: &InRepo, name: &AgentName, id: &str) -> Result<Message, String> {
    let message = at.client.receipt(&tools::message_id(id)?).await;
    let message = message.map_err(|error| error.to_string())?;
    if message.to == *name {
        return Ok(message);
    }
    Err(format!("{id} is not a message for {name}; the tool list_messages shows the ids"))
}

async fn read(
    session: &Session,
    at: &InRepo,
    name: &AgentName,
    of: &OfMessage,
) -> Result<Value, String> {
    let message = received(at, name, &of.id).await?;
    let id = message.id.clone();
    if message.status == MessageStatus::Pending {
        let read = at.client.report(&id, MessageStatus::Delivered, None).await;
        read.map_err(|error| error.to_string())?;
    }
    let (from, sent_at) = (message.from.clone(), message.created_at);
    Ok(json!({ "id": id, "from": from, "sent_at": sent_at, "body": text(session, at, message) }))
}
