//! The model of SQLite.

use crate::Ms;
use crate::mailbox::{
    Advance, Config, Insert, Noted, Pending, PendingRow, Snapshot, Standing, Stored, Write,
    transition,
};
use multiclaude_hybrid_protocol::MessageId;
use multiclaude_hybrid_protocol::message::{MessageStatus, Report};
use std::collections::BTreeMap;

/// The rows that SQLite would hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) config: Option<Config>,
    pub(super) rows: BTreeMap<u64, StoredRow>,
    pub(super) keys: BTreeMap<String, (String, u64)>,
    pub(super) noted: Vec<Noted>,
    /// Statuses a message has had, in order.
    pub(super) history: BTreeMap<u64, Vec<MessageStatus>>,
}

#[derive(Debug, Clone)]
pub(super) struct StoredRow {
    pub(super) insert: Insert,
    pub(super) ms: Ms,
    pub(super) standing: Standing,
    pub(super) attempts: u32,
}

impl Store {
    pub(super) fn apply(&mut self, write: Write) {
        match write {
            Write::Config(config) => self.config = Some(*config),
            Write::RememberKey(row) => {
                self.keys.insert(row.key.scope, (row.key.content, row.seq));
            }
            Write::Insert(insert) => {
                self.history.insert(insert.seq, vec![MessageStatus::Pending]);
                let row = StoredRow {
                    ms: MessageId::parse(&format!("msg_{}_a", insert.uuid)).unwrap().time().0,
                    insert: *insert,
                    standing: Standing::PENDING,
                    attempts: 0,
                };
                assert!(self.rows.insert(row.insert.seq, row).is_none(), "a place was used twice");
            }
            Write::Advance(advance) => {
                let row = self.rows.get_mut(&advance.seq).unwrap();
                let next = after(row.standing, &advance);
                if next.status != row.standing.status {
                    self.history.get_mut(&advance.seq).unwrap().push(next.status);
                }
                row.standing = next;
            }
            Write::Attempt { seq, attempts, .. } => {
                self.rows.get_mut(&seq).unwrap().attempts = attempts;
            }
            Write::AddNotice(noted) => {
                assert!(self.noted.iter().all(|known| known.seq != noted.seq), "noted twice");
                self.noted.push(noted);
            }
            Write::DeleteNotices { batch } => self.noted.retain(|noted| noted.batch != batch),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let pending =
            self.rows.values().filter(|row| row.standing.status == MessageStatus::Pending);
        Snapshot {
            config: self.config.clone(),
            last: self.rows.last_key_value().map(|(&seq, row)| (row.ms, seq)),
            pending: pending
                .map(|row| PendingRow {
                    seq: row.insert.seq,
                    generation: row.insert.generation,
                    pending: Pending { expires_at: row.insert.expires_at, attempts: row.attempts },
                })
                .collect(),
            noted: self.noted.clone(),
            purge_at: None,
        }
    }

    pub(super) fn stored(&self, seqs: &[u64]) -> Vec<Stored> {
        let row = |seq: &u64| {
            let insert = &self.rows[seq].insert;
            Stored { seq: *seq, uuid: insert.uuid.clone(), sender: insert.sender.clone() }
        };
        seqs.iter().map(row).collect()
    }
}

/// The row after the statement.
fn after(current: Standing, advance: &Advance) -> Standing {
    if advance.status == MessageStatus::Failed {
        return if current == Standing::PENDING { Standing::FAILED } else { current };
    }
    let report = Report::from(advance.status);
    let report = if advance.seen { report.and_seen() } else { report };
    match transition(current, report) {
        Ok(next) => next.unwrap_or(current),
        Err(MessageStatus::Failed) => current,
        // Further already; that it was seen is noted all the same.
        Err(_) => Standing { seen: current.seen || advance.seen, ..current },
    }
}
