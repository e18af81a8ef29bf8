//! Wire types of the audit log.

use crate::metadata::Metadata;
use crate::wire_enum::wire_enum;
use crate::{AuditId, Owner, Repo, Timestamp};
use serde::{Deserialize, Serialize};

wire_enum!(
    /// The kind of a caller.
    ActorKind {
        /// The holder of an admin token.
        Admin = "admin",
        /// The holder of a user token.
        User = "user",
        /// The holder of a service token.
        Service = "service",
        /// A signed callback.
        Callback = "callback",
    }
);

wire_enum!(
    /// An action.
    AuditAction {
        /// A token was made.
        TokenCreated = "token.created",
        /// A token was revoked.
        TokenRevoked = "token.revoked",
        /// An agent was registered: a new incarnation.
        AgentRegistered = "agent.registered",
        /// A registration was repeated.
        AgentRenewed = "agent.renewed",
        /// An agent was changed.
        AgentUpdated = "agent.updated",
        /// An agent was deregistered.
        AgentDeregistered = "agent.deregistered",
        /// An endpoint's secret was replaced.
        AgentSecretRotated = "agent.secret_rotated",
        /// The repo's configuration was replaced.
        ConfigUpdated = "config.updated",
        /// A worker was asked for.
        WorkerRequested = "worker.requested",
        /// A runner claimed a request.
        WorkerClaimed = "worker.claimed",
        /// A runner gave a request back.
        WorkerReturned = "worker.returned",
        /// A worker has started.
        WorkerStarted = "worker.started",
        /// A worker has succeeded.
        WorkerCompleted = "worker.completed",
        /// A worker has failed.
        WorkerFailed = "worker.failed",
        /// A request was cancelled.
        WorkerCancelled = "worker.cancelled",
    }
);

/// The caller of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Actor {
    /// The token's id, not its secret.
    pub token_id: String,
    /// The kind of the token, or `callback`.
    pub kind: ActorKind,
    /// The principal it speaks for.
    pub owner: Owner,
}

/// One entry of the audit log.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditEntry {
    /// Its id; the cursor of the list.
    pub id: AuditId,
    /// The repo it happened in; absent for tokens.
    pub repo: Option<Repo>,
    /// When it happened.
    pub at: Timestamp,
    /// The caller.
    pub actor: Actor,
    /// The action.
    pub action: AuditAction,
    /// The id or name of the token, agent or request.
    pub subject: String,
    /// More details.
    pub detail: Option<Metadata>,
}
