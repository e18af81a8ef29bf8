//! The wire type of `GET /v1/health`.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/health`: 200 if the database answers, else 503.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// The database: `ok` or `unavailable`.
    pub d1: String,
    /// The coordinator's version.
    pub version: String,
    /// The coordinator's clock: webhooks are refused if clocks differ by five minutes. Older
    /// coordinators do not send it.
    pub time: Option<Timestamp>,
}
