//! Deletes old rows.

use super::{MESSAGE, Sql};
use crate::mailbox::Refused;
use multiclaude_hybrid_core::Ms;

impl Sql {
    /// Deletes old rows, at most 500 of each table, and returns when the next ones may be
    /// deleted. The newest message is kept: the next id must be above its id. The outcome of
    /// a message with a key is kept with the key.
    pub fn purge(&self, now: Ms) -> Result<Option<Ms>, Refused> {
        self.run(
            &format!(
                "UPDATE keys SET outcome = (SELECT json_remove({MESSAGE}, '$.from', '$.from_owner', \
                 '$.to', '$.repo', '$.body', '$.thread_id', '$.reply_to', '$.metadata') FROM messages \
                 WHERE messages.seq = keys.seq) WHERE scope IN (SELECT key FROM messages \
                 WHERE purge_at <= ?1 AND key IS NOT NULL \
                 AND seq < (SELECT max(seq) FROM messages) ORDER BY seq LIMIT 500)"
            ),
            vec![now.into()],
        )?;
        self.run(
            "DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE purge_at <= ?1 \
             AND seq < (SELECT max(seq) FROM messages) ORDER BY seq LIMIT 500)",
            vec![now.into()],
        )?;
        self.run(
            "DELETE FROM keys WHERE scope IN (SELECT scope FROM keys WHERE expires_at <= ?1 LIMIT 500)",
            vec![now.into()],
        )?;
        self.next_purge()
    }

    /// When the next row may be deleted.
    pub(super) fn next_purge(&self) -> Result<Option<Ms>, Refused> {
        let next: Option<(Option<Ms>,)> = self.json(
            "SELECT json_array(min(at)) FROM (SELECT min(purge_at) AS at FROM messages \
             WHERE seq < (SELECT max(seq) FROM messages) UNION ALL SELECT min(expires_at) FROM keys)",
            vec![],
        )?;
        Ok(next.and_then(|(at,)| at))
    }
}
