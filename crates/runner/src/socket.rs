//! A worker's socket: through it a worker calls tools under its own name only, without a
//! token.
//!
//! A process that connects must belong to this worker: it must be a descendant of its
//! supervisor, or be in its container. The claims of a process about itself are ignored.
//! The protocol is that of the bridge's socket.

use crate::executor::{Executor, container_name};
use crate::supervisor::ancestors;
use crate::worker::Worker;
use multiclaude_hybrid_bridge::socket::{
    Agent, FromAgent, Serving, ToAgent, converse, read, write,
};
use multiclaude_hybrid_bridge::tools::mailbox;
use multiclaude_hybrid_bridge::unix;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::pin::Pin;
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

/// Connections of a worker at a time.
const CONNECTIONS_MAX: usize = 16;
/// How long the first line may take.
const HELLO: Duration = Duration::from_secs(10);
/// How long an engine may take to report the process of a container.
const INSPECT: Duration = Duration::from_secs(5);

impl Worker {
    /// Serves a worker's socket until the handle is aborted.
    ///
    /// # Errors
    /// The socket cannot be created.
    pub(crate) fn serve_socket(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let worker = Arc::clone(self);
        let path = worker.dirs.socket();
        let listener = unix::listen(&path)?;
        if let Some(user) = worker.executor().user() {
            chown(&path, Some(user.uid), Some(user.gid))?;
        }
        if matches!(worker.executor(), Executor::Container(_)) {
            // Users in a container have other ids; the directory keeps other users out.
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
                            if let Err(error) = serve_connection(stream, worker).await {
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
}

async fn serve_connection(stream: UnixStream, worker: Arc<Worker>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (from, mut to) = stream.into_split();
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    if !belongs_to(&worker, pid).await {
        warn!(id = %worker.id, pid, uid = peer.uid(), "refused a process that does not belong to the worker");
        return refuse(&mut to, "this process does not belong to the worker whose socket this is")
            .await;
    }
    let mut from = BufReader::new(from);
    let Ok(Some(FromAgent::Hello { agent: claimed, .. })) = timeout(HELLO, read(&mut from)).await?
    else {
        return refuse(&mut to, "the first line must be a hello").await;
    };
    let record = worker.record();
    let Some(name) = record.name else {
        return refuse(&mut to, "this worker has no name yet").await;
    };
    if claimed.is_some_and(|claimed| claimed != name.as_str()) {
        return refuse(&mut to, &format!("this process belongs to {name}, not to another agent"))
            .await;
    }
    let local = name.to_string();
    let repo = record.request.repo.to_string();
    let agent = Agent { nickname: repo.clone(), local: local.clone(), claude: None };
    let welcome = ToAgent::Welcome { local: local.clone(), name: Some(local), repo };
    write(&mut to, &welcome).await?;
    // A worker's session gets no posts.
    let (_, mut posts) = mpsc::channel(1);
    converse(from, to, worker, agent, &mut posts).await
}

impl Serving for Worker {
    fn named(&self, _: &Agent) -> Option<(Option<String>, String)> {
        let record = self.record();
        Some((record.name.map(|name| name.to_string()), record.request.repo.to_string()))
    }

    fn call(
        self: Arc<Self>,
        _: Agent,
        tool: String,
        arguments: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> {
        Box::pin(async move {
            let name = self.record().name.ok_or("this worker has no name yet")?;
            let repo = self.client();
            let plain = mailbox::Plain { repo, required: self.source.require_encryption };
            mailbox::call(repo, &name, &plain, &tool, arguments).await
        })
    }
}

async fn refuse(to: &mut (impl tokio::io::AsyncWrite + Unpin), reason: &str) -> io::Result<()> {
    write(to, &ToAgent::Refused { reason: reason.to_owned() }).await
}

/// Does this process belong to the worker?
async fn belongs_to(worker: &Worker, pid: Option<u32>) -> bool {
    let (Some(pid), Some(started)) = (pid, worker.supervisor()) else {
        return false;
    };
    let line = ancestors(pid);
    // All descendants of the supervisor belong to the worker, but not the supervisor.
    if started.supervisor.lives()
        && line.iter().skip(1).any(|above| *above == started.supervisor.pid)
    {
        return true;
    }
    let Executor::Container(container) = worker.executor() else {
        return false;
    };
    // docker's containers are descendants of its daemon.
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
