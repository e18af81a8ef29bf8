//! The workers of a runner, from their claim until their end is reported.

use crate::shared::Shared;
use crate::worker::Worker;
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_client::protocol::SpawnId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// The workers of a runner, by the ids of their requests.
#[derive(Debug)]
pub struct Workers {
    /// State that all parts share.
    pub shared: Arc<Shared>,
    by_id: Mutex<BTreeMap<SpawnId, Arc<Worker>>>,
    changed: watch::Sender<()>,
}

impl Workers {
    /// A runner without workers.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, by_id: Mutex::default(), changed: watch::Sender::new(()) })
    }

    /// Adds a worker and runs it until its end is reported.
    pub fn start(self: &Arc<Self>, worker: Arc<Worker>, slot: Option<OwnedSemaphorePermit>) {
        let (workers, id) = (Arc::clone(self), worker.id.clone());
        locked(&self.by_id).insert(id.clone(), Arc::clone(&worker));
        tokio::spawn(async move {
            worker.run(slot).await;
            locked(&workers.by_id).remove(&id);
            workers.changed.send_replace(());
        });
    }

    /// The worker of a request, if this runner has one.
    pub fn get(&self, id: &SpawnId) -> Option<Arc<Worker>> {
        locked(&self.by_id).get(id).cloned()
    }

    /// All workers of this runner.
    pub fn all(&self) -> Vec<Arc<Worker>> {
        locked(&self.by_id).values().cloned().collect()
    }

    /// Waits until this runner has no worker for a request.
    pub async fn wait_until_gone(&self, id: &SpawnId) {
        let _ = self.changed.subscribe().wait_for(|()| self.get(id).is_none()).await;
    }

    /// Waits until there are no workers.
    pub async fn wait_until_idle(&self) {
        let _ = self.changed.subscribe().wait_for(|()| locked(&self.by_id).is_empty()).await;
    }
}
