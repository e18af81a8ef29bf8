//! The channels of agents: connections to MCP servers that the agents' own claudes have
//! started.

use crate::hop::Process;
use crate::lock::locked;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long a post may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A text to post, and the sender for the outcome.
pub(super) type Post = (String, oneshot::Sender<Result<(), String>>);
/// The texts to post into one session.
pub type Posts = mpsc::Receiver<(String, oneshot::Sender<Result<(), String>>)>;

/// The channel to an agent's MCP server.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The claude that has started the MCP server.
    pub claude: Process,
    posts: mpsc::Sender<Post>,
    number: u64,
}

impl Channel {
    /// Posts a text into the agent's session. If it succeeds, Claude Code has the text.
    ///
    /// # Errors
    /// The text was not posted, and why; or it is not known whether it was.
    pub async fn post(&self, text: String) -> Result<(), PostError> {
        let (outcome, posted) = oneshot::channel();
        let not = |reason: &str| PostError::Not(reason.to_owned());
        self.posts.try_send((text, outcome)).map_err(|_| not("its channel is closed"))?;
        match timeout(PATIENCE, posted).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(reason))) => Err(PostError::Not(reason)),
            // The connection broke before the outcome was known.
            _ => Err(PostError::Unknown),
        }
    }
}

/// Why a post failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostError {
    /// The text was not posted, for this reason.
    Not(String),
    /// The text may have been posted.
    Unknown,
}

/// The channels, by multiclaude's names of repo and agent.
#[derive(Debug, Default)]
pub struct Channels {
    open: Mutex<BTreeMap<(String, String), Vec<Channel>>>,
    last: AtomicU64,
    /// Counts up when a channel opens or closes.
    pub changed: watch::Sender<u64>,
}

impl Channels {
    /// The channel of an agent to this claude. There may be channels to other claudes in its
    /// window, which its claude has started.
    pub fn to(&self, nickname: &str, local: &str, claude: &Process) -> Option<Channel> {
        let open = locked(&self.open);
        let all = open.get(&(nickname.to_owned(), local.to_owned()))?;
        all.iter().rev().find(|channel| channel.claude == *claude).cloned()
    }

    /// Does an agent have a channel?
    pub fn has(&self, nickname: &str, local: &str) -> bool {
        locked(&self.open).contains_key(&(nickname.to_owned(), local.to_owned()))
    }

    /// Opens a channel. It is closed when the guard is dropped.
    pub(super) fn open(&self, agent: (String, String), claude: Process) -> (Open<'_>, Posts) {
        let (posts, to_post) = mpsc::channel(1);
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let channel = Channel { claude, posts, number };
        locked(&self.open).entry(agent.clone()).or_default().push(channel);
        self.changed.send_modify(|count| *count += 1);
        (Open { channels: self, agent, number }, to_post)
    }
}

/// An open channel.
pub(super) struct Open<'a> {
    channels: &'a Channels,
    agent: (String, String),
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut open = locked(&self.channels.open);
        if let Some(all) = open.get_mut(&self.agent) {
            all.retain(|channel| channel.number != self.number);
            if all.is_empty() {
                open.remove(&self.agent);
            }
        }
        drop(open);
        self.channels.changed.send_modify(|count| *count += 1);
    }
}
