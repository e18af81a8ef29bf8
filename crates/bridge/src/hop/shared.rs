//! State that the couriers of a repo share.

use super::reason::Reason;
use crate::clock;
use crate::inbox::Store;
use crate::lock::locked;
use crate::multiclaude::{StateFile, Windows};
use crate::registry::Registry;
use crate::socket::Channels;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// The user's options for the last hop.
#[derive(Debug, Clone, Copy, Default)]
pub struct HopOptions {
    /// Treat workspaces as any agent?
    pub workspace: bool,
    /// Show nothing in tmux's status line?
    pub quiet: bool,
}

/// The parts of a [`Hop`].
#[derive(Debug)]
pub struct Parts {
    /// The user's home.
    pub home: PathBuf,
    /// multiclaude's name for the repo.
    pub nickname: String,
    /// `messages/<repo>`.
    pub messages: PathBuf,
    /// multiclaude's state.
    pub state: Arc<StateFile>,
    /// Incoming messages on disk.
    pub store: Store,
    /// The channels of agents.
    pub channels: Arc<Channels>,
    /// The windows of agents.
    pub windows: Arc<Windows>,
    /// The user's options.
    pub options: HopOptions,
    /// Notified when an agent has taken a message.
    pub taken: Arc<Notify>,
    /// The registered agents.
    pub registry: Arc<Registry>,
}

/// The state that the couriers of a repo share.
#[derive(Debug)]
pub(super) struct Shared {
    parts: Parts,
    /// When the bridge began to serve the repo.
    pub(super) since: Duration,
    /// The messages that wait, by local agent.
    waiting: Mutex<BTreeMap<String, Waiting>>,
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// The messages of an agent that wait.
#[derive(Debug, Default)]
struct Waiting {
    ids: BTreeSet<String>,
    /// Why the first of them waits; `None` before the first look.
    reason: Option<Reason>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, since: clock::since_boot(), waiting: Mutex::default() }
    }

    /// Adds a message that waits for its agent.
    pub(super) fn add(&self, local: &str, id: &str) {
        locked(&self.waiting).entry(local.to_owned()).or_default().ids.insert(id.to_owned());
    }

    /// The messages of an agent that wait, in order.
    pub(super) fn waiting(&self, local: &str) -> Vec<String> {
        let waiting = locked(&self.waiting);
        waiting.get(local).map(|waiting| waiting.ids.iter().cloned().collect()).unwrap_or_default()
    }

    /// Removes a message that need not be handed over any more.
    pub(super) fn withdraw(&self, local: &str, id: &str) {
        let mut agents = locked(&self.waiting);
        if let Some(waiting) = agents.get_mut(local) {
            waiting.ids.remove(id);
            if waiting.ids.is_empty() {
                // The next message waits for a reason of its own.
                agents.remove(local);
            }
        }
    }

    /// Notes why the first message of an agent waits; returns whether the reason is new.
    pub(super) fn hold(&self, local: &str, reason: &Reason) -> bool {
        let mut waiting = locked(&self.waiting);
        let before = &mut waiting.entry(local.to_owned()).or_default().reason;
        let new = before.as_ref() != Some(reason);
        *before = Some(reason.clone());
        new
    }

    /// The messages of an agent that wait, in order, and why each waits.
    pub(super) fn waiting_with_reasons(&self, local: &str) -> Vec<(String, String)> {
        let waiting = locked(&self.waiting);
        let Some(waiting) = waiting.get(local) else {
            return Vec::new();
        };
        let first = waiting.reason.as_ref().map(Reason::to_string).unwrap_or_default();
        let reason = |number: usize| {
            if number == 0 || waiting.reason == Some(Reason::Workspace) {
                first.clone()
            } else {
                format!("after another message: {first}")
            }
        };
        waiting.ids.iter().enumerate().map(|(number, id)| (id.clone(), reason(number))).collect()
    }
}
