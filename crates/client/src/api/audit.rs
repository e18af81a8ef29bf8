//! A repo's audit log.

use super::query;
use crate::{Call, Error, RepoClient};
use multiclaude_hybrid_protocol::audit::AuditEntry;
use reqwest::Method;

/// Entries of one page.
const PAGE_MAX: usize = 500;

impl RepoClient {
    /// `GET …/audit`: who did what, the newest first; `limit` entries at most, page by
    /// page. For service and admin tokens.
    pub async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        while entries.len() < limit {
            let query = query(&[
                ("limit", Some((limit - entries.len()).min(PAGE_MAX).to_string())),
                ("after", entries.last().map(|entry| entry.id.to_string())),
            ]);
            let reply = self.call(Call::new(Method::GET, format!("/audit?{query}"))).await?;
            let page: Vec<AuditEntry> = reply.json()?;
            let is_last = page.is_empty() || reply.next_query().is_none();
            entries.extend(page);
            if is_last {
                break;
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }
}
