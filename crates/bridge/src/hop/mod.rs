//! The last hop: into the running agent, once, with proof (`machines.md`, *The last
//! hop*).
//!
//! | file | what is in it |
//! |---|---|
//! | this one | what the couriers of a repo share |
//! | `courier` | one agent's messages, one at a time |
//! | `on_disk` | multiclaude's file of a message, and its stage in the store |
//! | `held` | why messages wait, and what the human is shown of it |
//! | `flight` | the message that was handed over and is not proven yet |
//! | `choice` | which carrier, and what follows: pure |
//! | `text` | what the agent reads: pure |
//! | `transcript`, `screen` | what Claude Code's files and its screen say: pure |
//! | `session`, `reader`, `keyboard` | the session, its transcripts, its keys |
//!
//! A message that is placed (it is a file of multiclaude's) is handed to its agent
//! by the first carrier that can. It is *taken* when the agent's transcript has it:
//! only then it goes on to the next stage of the store, and is reported to the coordinator.

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

pub use session::{Process, Said};

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

/// What the user wants of the last hop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// A workspace gets messages as any agent does.
    pub workspace: bool,
    /// Nothing is shown in tmux's status line.
    pub quiet: bool,
}

/// What a [`Hop`] is made of.
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
    /// What the user wants.
    pub wishes: Wishes,
    /// Woken when an agent has taken a message.
    pub taken: Arc<Notify>,
    /// The registered agents.
    pub registry: Arc<Registry>,
}

/// What the couriers of a repo share.
#[derive(Debug)]
struct Shared {
    parts: Parts,
    /// When it was made.
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

/// A courier at work.
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
    /// The hop of a repo.
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

    /// A message waits no longer.
    fn withdraw(&self, local: &str, id: &str) {
        if let Some(waiting) = locked(&self.waiting).get_mut(local) {
            waiting.ids.remove(id);
        }
    }

    /// Notes why the first message of an agent waits; whether that is new.
    fn hold(&self, local: &str, reason: &str) -> bool {
        let mut waiting = locked(&self.waiting);
        let before = &mut waiting.entry(local.to_owned()).or_default().reason;
        let new = before != reason;
        reason.clone_into(before);
        new
    }
}
