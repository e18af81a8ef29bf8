//! `POST …/workers/{id}/callback`: what the endpoint that spawn requests are
//! pushed to reports, as a Standard Webhook.

use crate::{AgentName, SpawnId};

/// What is reported about the request `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// `worker.started`: the endpoint takes the request, or renews.
    Started {
        /// The request.
        id: SpawnId,
        /// The registered agent.
        worker_name: AgentName,
        /// How long it is taken for.
        lease_secs: i64,
    },
    /// `worker.progress`: renews.
    Progress {
        /// The request.
        id: SpawnId,
        /// How long from now.
        lease_secs: i64,
    },
    /// `worker.completed`: the worker has ended well.
    Completed {
        /// The request.
        id: SpawnId,
        /// What the worker has to say.
        summary: Option<String>,
    },
    /// `worker.failed`: the worker has ended otherwise.
    Failed {
        /// The request.
        id: SpawnId,
        /// Why.
        failure_reason: Option<String>,
    },
}
