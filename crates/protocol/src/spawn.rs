//! Wire types of spawning: requests for workers, claims and leases.

mod claim;
mod request;

pub use claim::{Claim, LOG_MAX, PROGRESS_MAX, WorkerLog, WorkerUpdate};
pub(crate) use request::LEASE_SECS;
pub use request::{
    LEASE_DEFAULT_SECS, Lease, NewSpawn, REASON_CANCELLED, RESULT_MAX, SpawnRequest, SpawnStatus,
    SpawnedBy, TASK_MAX,
};
