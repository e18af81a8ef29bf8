//! A repo's audit log.

use crate::{Error, RepoClient};
use multiclaude_hybrid_protocol::audit::AuditEntry;

impl RepoClient {
    /// `GET …/audit`: who did what, the newest first; `limit` entries at most, page by
    /// page. For service and admin tokens.
    pub async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        self.client.list(&format!("{}/audit", self.path), &[], limit).await
    }
}
