//! Load: senders that never pause.

use e2e::RepoClient;
use e2e::process::LIMIT;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::message::Message;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Tasks that send one message after the other, each under its key until it is accepted.
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    accepted: Arc<Mutex<Vec<Message>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Senders {
    /// Starts `count` of them. `message` is given the number of the sender, and that of the
    /// message among its own.
    pub(crate) fn start(
        client: &RepoClient,
        count: usize,
        message: fn(usize, usize) -> Value,
    ) -> Self {
        let mut senders = Self { stop: Arc::default(), accepted: Arc::default(), tasks: vec![] };
        for sender in 0..count {
            let (client, stop) = (client.clone(), Arc::clone(&senders.stop));
            let accepted = Arc::clone(&senders.accepted);
            senders.tasks.push(tokio::spawn(async move {
                let mut n = 0;
                loop {
                    let key = format!("{sender}-{n}");
                    match client.send(&message(sender, n), Some(&key)).await {
                        Ok(sent) => {
                            accepted.lock().unwrap().push(sent);
                            n += 1;
                        }
                        // Whether it was accepted is not known yet.
                        Err(error) if error.is_outage() => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            continue;
                        }
                        // It is being registered again.
                        Err(error) if error.code() == Some(ErrorCode::AgentNotFound) => {}
                        Err(error) => panic!("{key}: {error}"),
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }));
        }
        senders
    }

    /// How many messages were accepted so far.
    pub(crate) fn count(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// Stops them, after each knows whether its last message was accepted. Returns the accepted
    /// messages.
    pub(crate) async fn stop(self) -> Vec<Message> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            tokio::time::timeout(LIMIT, task).await.expect("a sender ends").unwrap();
        }
        std::mem::take(&mut self.accepted.lock().unwrap())
    }
}
