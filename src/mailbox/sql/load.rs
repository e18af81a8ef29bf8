//! Reads the stored state that a mailbox in memory is made from.

use super::{Sql, seq};
use crate::mailbox::Refused;
use multiclaude_hybrid_core::mailbox::{PendingRow, Snapshot};
use multiclaude_hybrid_protocol::MessageId;

/// Pending messages that are loaded with one statement.
const LOAD_CHUNK: usize = 20_000;

impl Sql {
    /// Reads the configuration, the notices, and the pending messages above the low-water
    /// mark.
    pub fn snapshot(&self) -> Result<Snapshot, Refused> {
        let config = self.json("SELECT data FROM config", vec![])?;
        let last: Option<(u64, String)> = self
            .json("SELECT json_array(seq, uuid) FROM messages ORDER BY seq DESC LIMIT 1", vec![])?;
        let noted = self.json(
            "SELECT json_group_array(json_array(seq, uuid, batch, json(recipient), reason)) \
             FROM notices",
            vec![],
        )?;
        Ok(Snapshot {
            config,
            last: last.and_then(|(seq, uuid)| {
                let id = MessageId::parse(&format!("msg_{uuid}_a"))?;
                Some((id.time().0, seq))
            }),
            pending: self.pending()?,
            noted: noted.unwrap_or_default(),
            purge_at: self.next_purge()?,
        })
    }

    /// The pending messages of all incarnations, above the low-water mark. In chunks,
    /// because a value has at most 2 MB.
    fn pending(&self) -> Result<Vec<PendingRow>, Refused> {
        let mut pending: Vec<PendingRow> = Vec::new();
        loop {
            let after = pending.last().map_or(0, |row| row.seq);
            let rows: Vec<PendingRow> = self
                .json(
                    "SELECT json_group_array(json_array(seq, generation, json_array(expires_at, attempts))) \
                     FROM (SELECT * FROM messages WHERE status = 0 AND seq > ?1 \
                     AND seq >= coalesce((SELECT low_water FROM config), 0) ORDER BY seq LIMIT ?2)",
                    vec![seq(after), (LOAD_CHUNK as i64).into()],
                )?
                .unwrap_or_default();
            let last = rows.len() < LOAD_CHUNK;
            pending.extend(rows);
            if last {
                return Ok(pending);
            }
        }
    }
}
