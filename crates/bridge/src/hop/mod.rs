//! The last hop: into the running agent, once, with proof (`machines.md`, *The last
//! hop*).
//!
//! | file | what is in it |
//! |---|---|
//! | this one | the couriers of a repo, and the state that they share |
//! | `courier` | one agent's messages, one at a time |
//! | `on_disk` | multiclaude's file of a message, and its stage in the store |
//! | `held` | why messages wait, and how the human sees that |
//! | `flight` | the message that was handed over and is not proven yet |
//! | `choice` | which carrier, and the next step after it: pure |
//! | `text` | the text for the agent: pure |
//! | `transcript`, `screen` | reads Claude Code's transcripts and its screen: pure |
//! | `session`, `reader`, `keyboard` | the session, its transcripts, its keys |
//!
//! A placed message, which has a file of multiclaude's, is handed to its agent by the
//! first usable carrier. It is *taken* when the agent's transcript has it: only then it
//! moves to the next stage of the store, and is reported to the coordinator.

mod choice;
mod courier;
mod flight;
mod held;
mod keyboard;
mod on_disk;
mod reader;
mod screen;
mod session;
mod text;
mod transcript;

pub use session::{Process, SessionFile};

use crate::clock;
use crate::inbox::{LastHop, Store};
use crate::lock::locked;
use crate::multiclaude::{StateFile, Windows};
use crate::registry::Registry;
use crate::socket::Channels;
use courier::Courier;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

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
struct Shared {
    parts: Parts,
    /// When the bridge began to serve the repo.
    since: Duration,
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
    /// Why the first of them waits.
    reason: String,
}

/// A running courier.
#[derive(Debug)]
struct AtWork {
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

/// Hands the messages of a repo to its agents.
#[derive(Debug)]
pub struct Hop {
    shared: Arc<Shared>,
    couriers: Mutex<BTreeMap<String, AtWork>>,
}

impl Hop {
    /// A hop without messages.
    pub fn new(parts: Parts) -> Self {
        let shared =
            Arc::new(Shared { parts, since: clock::since_boot(), waiting: Mutex::default() });
        Self { shared, couriers: Mutex::default() }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.stop();
    }
}

impl LastHop for Hop {
    fn offer(&self, local: &str, id: &str) {
        locked(&self.shared.waiting).entry(local.to_owned()).or_default().ids.insert(id.to_owned());
        let mut couriers = locked(&self.couriers);
        let courier = couriers.entry(local.to_owned()).or_insert_with(|| {
            let wake = Arc::new(Notify::new());
            let courier = Courier::new(Arc::clone(&self.shared), local);
            AtWork { wake: Arc::clone(&wake), task: tokio::spawn(courier.run(wake)) }
        });
        courier.wake.notify_one();
    }

    fn withdraw(&self, local: &str, id: &str) {
        self.shared.withdraw(local, id);
        if let Some(courier) = locked(&self.couriers).get(local) {
            courier.wake.notify_one();
        }
    }

    fn stop(&self) {
        for courier in locked(&self.couriers).values() {
            courier.task.abort();
        }
    }

    fn waiting(&self, local: &str) -> Vec<(String, String)> {
        let waiting = locked(&self.shared.waiting);
        let Some(waiting) = waiting.get(local) else {
            return Vec::new();
        };
        let reason = |number: usize| {
            if number == 0 || waiting.reason == held::WORKSPACE {
                waiting.reason.clone()
            } else {
                format!("behind another message: {}", waiting.reason)
            }
        };
        waiting.ids.iter().enumerate().map(|(number, id)| (id.clone(), reason(number))).collect()
    }
}

impl Shared {
    /// The messages of an agent that wait, in order.
    fn waiting(&self, local: &str) -> Vec<String> {
        let waiting = locked(&self.waiting);
        waiting.get(local).map(|waiting| waiting.ids.iter().cloned().collect()).unwrap_or_default()
    }

    /// Removes a message that need not be handed over any more.
    fn withdraw(&self, local: &str, id: &str) {
        if let Some(waiting) = locked(&self.waiting).get_mut(local) {
            waiting.ids.remove(id);
        }
    }

    /// Notes why the first message of an agent waits; returns whether the reason is new.
    fn hold(&self, local: &str, reason: &str) -> bool {
        let mut waiting = locked(&self.waiting);
        let before = &mut waiting.entry(local.to_owned()).or_default().reason;
        let new = before != reason;
        reason.clone_into(before);
        new
    }
}
