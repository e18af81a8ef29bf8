//! Wire types of the audit log.

use crate::metadata::Metadata;
use crate::wire_enum::wire_enum;
use crate::{AuditId, Owner, Repo, Timestamp};
use serde::{Deserialize, Serialize};

wire_enum!(
    /// What kind of caller did it.
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
    /// What was done.
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
        /// A worker has ended well.
        WorkerCompleted = "worker.completed",
        /// A worker has ended otherwise.
        WorkerFailed = "worker.failed",
        /// A request was cancelled.
        WorkerCancelled = "worker.cancelled",
    }
);

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Actor {
    /// Names the token; not its secret.
    pub token_id: String,
    /// The kind of the token, or `callback`.
    pub kind: ActorKind,
    /// The principal it speaks for.
    pub owner: Owner,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Names it; the cursor of the list.
    pub id: AuditId,
    /// The repo it happened in; absent for tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Repo>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: AuditAction,
    /// To which token, agent or request.
    pub subject: String,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Metadata>,
}
