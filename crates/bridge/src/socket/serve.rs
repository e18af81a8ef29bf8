//! The bridge's end of the socket: accepts connections, and finds the agent of each.

use super::converse::converse;
use super::{Agent, Channels, FromAgent, Serving, ToAgent, read, write};
use crate::hop::Process;
use crate::multiclaude::{Panes, StateFile};
use crate::unix;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

/// The most connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// How long the first line may take.
const HELLO: Duration = Duration::from_secs(10);
/// How long an agent may be missing in multiclaude's state, which lists it about 2 s after
/// its claude has started; and the wait between two looks.
const UNKNOWN: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(250);

/// Serves the socket until the handle is aborted.
///
/// # Errors
/// The socket cannot be created.
pub fn serve(
    socket: &Path,
    serving: Arc<dyn Serving>,
    state: Arc<StateFile>,
    channels: Arc<Channels>,
) -> io::Result<JoinHandle<()>> {
    let listener = unix::listen(socket)?;
    Ok(tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a connection of an agent cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (serving, state) = (Arc::clone(&serving), Arc::clone(&state));
            let channels = Arc::clone(&channels);
            tokio::spawn(async move {
                if let Err(error) = connection(stream, serving, &state, &channels).await {
                    debug!(%error, "the connection of an agent broke");
                }
                drop(slot);
            });
        }
    }))
}

async fn connection(
    stream: UnixStream,
    serving: Arc<dyn Serving>,
    state: &StateFile,
    channels: &Channels,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let hello = timeout(HELLO, read::<FromAgent>(&mut from)).await;
    let Ok(Ok(Some(FromAgent::Hello { version, agent: claimed, can_post }))) = hello else {
        return write(&mut to, &refusal("the first line must be a hello")).await;
    };
    let until = Instant::now() + UNKNOWN;
    let (agent, name, repo) = loop {
        let found = find(&peer, claimed.as_deref(), state).await;
        let found = found.and_then(|agent| match serving.named(&agent) {
            Some((name, repo)) => Ok((agent, name, repo)),
            None => Err(Absent::NotYet(format!(
                "the bridge does not serve {}; multiclaude-hybrid status shows which repos it does",
                agent.nickname
            ))),
        });
        match found {
            Ok(found) => break found,
            Err(Absent::NotYet(_)) if Instant::now() < until => sleep(LOOK).await,
            // It connects again, and may be known by then.
            Err(Absent::NotYet(reason)) => {
                debug!(reason, "the agent of a process is not known yet");
                return Ok(());
            }
            Err(Absent::Never(reason)) => return write(&mut to, &refusal(&reason)).await,
        }
    };
    let claude = agent.claude.clone().filter(|_| can_post);
    info!(local = agent.local, version, channel = claude.is_some(), "an agent has connected");
    write(&mut to, &ToAgent::Welcome { local: agent.local.clone(), name, repo }).await?;
    let key = (agent.nickname.clone(), agent.local.clone());
    let open = claude.map(|claude| channels.open(key, claude));
    let (_open, mut posts) = match open {
        Some((open, posts)) => (Some(open), posts),
        None => (None, mpsc::channel(1).1),
    };
    converse(from, to, serving, agent, &mut posts).await
}

/// Why a process acts for no agent.
enum Absent {
    /// multiclaude may know it in a moment.
    NotYet(String),
    Never(String),
}

fn refusal(reason: &str) -> ToAgent {
    ToAgent::Refused { reason: reason.to_owned() }
}

/// The agent that a process acts for: the one in whose window it was started. Properties
/// that a process can choose, such as its directory, are ignored.
async fn find(peer: &UCred, claimed: Option<&str>, state: &StateFile) -> Result<Agent, Absent> {
    let never = |reason: &str| Absent::Never(reason.to_owned());
    let not_yet = |reason: &str| Absent::NotYet(reason.to_owned());
    if peer.uid() != rustix::process::getuid().as_raw() {
        return Err(never("this bridge belongs to another user"));
    }
    let Some(pid) = peer.pid().and_then(|pid| u32::try_from(pid).ok()) else {
        return Err(never("the system does not show which process this is"));
    };
    let panes = Panes::look().await;
    let state = state.read().ok_or_else(|| not_yet("multiclaude has no state"))?;
    let in_window = panes.window_of(pid).and_then(|(session, window, line)| {
        let (nickname, repo) =
            state.repos.iter().find(|(_, repo)| repo.tmux_target() == session)?;
        let (local, agent) = repo.agents.iter().find(|(_, agent)| agent.tmux_window == window)?;
        // Its parent must be the claude in the foreground, not another program.
        let claudes = panes.claudes(session, agent);
        let parent = line.get(1).filter(|parent| claudes.contains(parent));
        Some(Agent {
            nickname: nickname.clone(),
            local: local.clone(),
            claude: parent.and_then(|parent| Process::of(*parent)),
        })
    });
    let agent = in_window.ok_or_else(|| {
        not_yet("this process was not started in the window of an agent of this machine")
    })?;
    match claimed {
        Some(claimed) if claimed != agent.local => {
            Err(never(&format!("this process belongs to {}, not to {claimed}", agent.local)))
        }
        _ => Ok(agent),
    }
}
