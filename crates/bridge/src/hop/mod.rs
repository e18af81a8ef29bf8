//! The last hop: into the running agent, once, with proof.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | the couriers of a repo |
//! | `shared` | state that the couriers of a repo share |
//! | `courier` | one agent's messages, one at a time |
//! | `hand_over` | hands a message over, as soon as a carrier can take it |
//! | `follow` | follows it, until it is proven to be taken, or lost |
//! | `on_disk` | multiclaude's file of a message, and its stage in the store |
//! | `reason` | why a message waits |
//! | `held` | notes the reason, and shows it to the human |
//! | `flight` | the message that was handed over and is not proven yet |
//! | `choice` | which carrier, and the next step after it: pure |
//! | `text` | the text for the agent: pure |
//! | `transcript`, `screen` | reads Claude Code's transcripts and its screen: pure |
//! | `session`, `reader`, `keyboard` | the session, its transcripts, its keys |
//!
//! A placed message, which has a file of multiclaude's, is handed to its agent by the
//! first usable carrier. It is *taken* when the agent's transcript has it: only then it
//! becomes `taken` in the store, and is reported to the coordinator. If its agent has read it,
//! or the proof is missing, it becomes `handed`, which is not reported. *Taken* is *seen* in the
//! API; the stage `Seen` is taken, and reported.

mod choice;
mod courier;
mod flight;
mod follow;
mod hand_over;
mod held;
mod keyboard;
mod on_disk;
mod reader;
mod reason;
mod screen;
mod session;
mod shared;
mod text;
mod transcript;

pub use session::{Process, SessionFile};
pub use shared::{HopOptions, Parts};

use crate::inbox::LastHop;
use crate::lock::locked;
use courier::Courier;
use shared::Shared;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

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
        Self { shared: Arc::new(Shared::new(parts)), couriers: Mutex::default() }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.stop();
    }
}

impl LastHop for Hop {
    fn offer(&self, local: &str, id: &str) {
        self.shared.add(local, id);
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
        self.shared.waiting_with_reasons(local)
    }
}
