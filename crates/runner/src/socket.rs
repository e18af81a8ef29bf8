//! A worker's socket: it speaks with the runner as itself, and under no other name. It
//! has no token, and needs none.
//!
//! Whoever connects must be a process of this very worker: one below its supervisor,
//! in its control group or in its container. What a process says of itself does not
//! count. The wire is that of the bridge's socket.

use crate::executor::{Executor, container_name};
use crate::supervisor::ancestors;
use crate::worker::Worker;
use multiclaude_hybrid_bridge::socket::{FromAgent, ToAgent, read, write};
use multiclaude_hybrid_bridge::tools::{self, List, OfMessage, Send, arguments};
use multiclaude_hybrid_bridge::unix;
use multiclaude_hybrid_client::MessageFilter;
use multiclaude_hybrid_client::protocol::AgentName;
use multiclaude_hybrid_client::protocol::message::{
    Message, MessageStatus, NewMessage, Report, Sender,
};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::{debug, warn};
use uuid::Uuid;

/// Connections of a worker at a time.
const CONNECTIONS_MAX: usize = 16;
/// Calls of one connection at a time.
const CALLS_MAX: usize = 8;
/// How long the first line may take.
const HELLO: Duration = Duration::from_secs(10);
/// How long an engine may take to say which process a container is.
const INSPECT: Duration = Duration::from_secs(5);

/// Serves a worker's socket until the handle is aborted.
///
/// # Errors
/// It cannot be listened on.
pub fn serve(worker: Arc<Worker>) -> io::Result<JoinHandle<()>> {
    let path = worker.dirs.socket();
    let listener = unix::listen(&path)?;
    if let Some(user) = worker.executor().user() {
        chown(&path, Some(user.uid), Some(user.gid))?;
    }
    if matches!(worker.executor(), Executor::Container(_)) {
        // Users in a container have other numbers; its directory keeps others out.
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
    }
    Ok(tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut open = JoinSet::new();
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let worker = Arc::clone(&worker);
                    open.spawn(async move {
                        if let Err(error) = connection(stream, worker).await {
                            debug!(%error, "the connection of a worker broke");
                        }
                        drop(slot);
                    });
                }
                Err(error) => {
                    warn!(%error, "no connection of a worker is accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            while open.try_join_next().is_some() {}
        }
    }))
}

async fn connection(stream: UnixStream, worker: Arc<Worker>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (from, mut to) = stream.into_split();
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    if !is_of(&worker, pid).await {
        warn!(id = %worker.id, pid, uid = peer.uid(), "a process that is none of the worker's was refused");
        return refuse(&mut to, "this process does not belong to the worker whose socket this is")
            .await;
    }
    let mut from = BufReader::new(from);
    let Ok(Some(FromAgent::Hello { agent: claimed, .. })) = timeout(HELLO, read(&mut from)).await?
    else {
        return refuse(&mut to, "the first line is no hello").await;
    };
    let record = worker.record();
    let Some(name) = record.name else {
        return refuse(&mut to, "this worker has no name yet").await;
    };
    if claimed.is_some_and(|claimed| claimed != name.as_str()) {
        return refuse(&mut to, &format!("this process belongs to {name}, and to no other agent"))
            .await;
    }
    let repo = record.request.repo.to_string();
    let welcome = ToAgent::Welcome { local: name.to_string(), name: Some(name.to_string()), repo };
    write(&mut to, &welcome).await?;
    let (answers, mut to_write) = mpsc::channel::<ToAgent>(CALLS_MAX);
    let calls = Arc::new(Semaphore::new(CALLS_MAX));
    let reading = async {
        let mut running = JoinSet::new();
        while let Some(line) = read::<FromAgent>(&mut from).await? {
            let FromAgent::Call { n, tool, arguments } = line else { continue };
            let Ok(slot) = Arc::clone(&calls).acquire_owned().await else { break };
            let (worker, name, answers) = (Arc::clone(&worker), name.clone(), answers.clone());
            running.spawn(async move {
                let result = call(&worker, &name, &tool, arguments).await;
                let _ = answers.send(ToAgent::Answer { n, result }).await;
                drop(slot);
            });
            while running.try_join_next().is_some() {}
        }
        // Calls that were made are answered, also to one that sends no more.
        while running.join_next().await.is_some() {}
        Ok(())
    };
    let writing = async {
        while let Some(answer) = to_write.recv().await {
            write(&mut to, &answer).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = reading => done,
        done = writing => done,
    }
}

async fn refuse(to: &mut (impl tokio::io::AsyncWrite + Unpin), reason: &str) -> io::Result<()> {
    write(to, &ToAgent::Refused { reason: reason.to_owned() }).await
}

/// Is this process one of the worker's?
async fn is_of(worker: &Worker, pid: Option<u32>) -> bool {
    let (Some(pid), Some(started)) = (pid, worker.supervisor()) else {
        return false;
    };
    let line = ancestors(pid);
    // Of the supervisor's own processes all are the worker's, but not itself.
    if started.supervisor.lives()
        && line.iter().skip(1).any(|above| *above == started.supervisor.pid)
    {
        return true;
    }
    let Executor::Container(container) = worker.executor() else {
        return false;
    };
    // docker's containers are below its daemon.
    let name = container_name(worker.id.as_str());
    let inspect = container.engine.command(&["inspect", "--format={{.State.Pid}}", &name]);
    let Some((engine, args)) = inspect.split_first() else {
        return false;
    };
    let mut inspect = Command::new(engine);
    inspect.args(args);
    inspect.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let Ok(Ok(inspected)) = timeout(INSPECT, inspect.output()).await else {
        return false;
    };
    let first = String::from_utf8_lossy(&inspected.stdout).trim().parse::<u32>();
    first.is_ok_and(|first| first > 1 && line.contains(&first))
}

/// Calls a tool on behalf of a worker.
async fn call(worker: &Worker, name: &AgentName, tool: &str, args: Value) -> Result<Value, String> {
    let client = worker.client();
    let text = |error: multiclaude_hybrid_client::Error| error.to_string();
    match tool {
        "send_message" => {
            let wish: Send = arguments(args)?;
            let to = AgentName::parse(&wish.to)
                .map_err(|error| format!("the name {:?} {error}", wish.to))?;
            let reply_to = wish.reply_to.as_deref().map(tools::message_id).transpose()?;
            let from = Sender::Agent(name.clone());
            let message = NewMessage { reply_to, ..NewMessage::new(from, to, &wish.body) };
            let key = Uuid::new_v4().to_string();
            let sent = client.send(&message, Some(&key)).await.map_err(text)?;
            Ok(json!({ "id": sent.id, "to": sent.to, "status": sent.status }))
        }
        "list_messages" => {
            let list: List = arguments(args)?;
            let filter = MessageFilter { limit: Some(500), ..MessageFilter::default() };
            let page = client.messages(name, &filter).await.map_err(text)?;
            let open = |message: &&Message| {
                list.all
                    || matches!(message.status, MessageStatus::Pending | MessageStatus::Delivered)
            };
            let shown = page.items.iter().filter(open).map(|message| {
                json!({ "id": message.id, "from": message.from, "sent_at": message.created_at,
                    "status": message.status, "preview": tools::preview(&message.body) })
            });
            Ok(json!(shown.collect::<Vec<_>>()))
        }
        "read_message" => {
            let message = received(worker, name, &args).await?;
            // It is in the worker's mind from here on.
            let read = client.report(&message.id, Report::SEEN, None).await.map_err(text)?;
            Ok(json!({ "id": read.id, "from": message.from, "sent_at": message.created_at,
                "body": message.body }))
        }
        "ack_message" => {
            let id = received(worker, name, &args).await?.id;
            let acked = client.report(&id, MessageStatus::Acked, None).await.map_err(text)?;
            Ok(tools::receipt(&acked))
        }
        _ => {
            let called = tools::call_api(client, name, tool, &args).await;
            called.unwrap_or_else(|| Err(format!("there is no tool {tool}")))
        }
    }
}

/// A message for this worker, and for no other agent.
async fn received(worker: &Worker, name: &AgentName, args: &Value) -> Result<Message, String> {
    let of: OfMessage = arguments(args.clone())?;
    let message = worker.client().receipt(&tools::message_id(&of.id)?).await;
    let message = message.map_err(|error| error.to_string())?;
    if message.to == *name {
        return Ok(message);
    }
    Err(format!("{} is not a message for {name}; the tool list_messages shows the ids", of.id))
}
