//! Every SQL statement of a mailbox.
//!
//! SQLite's `exec` is synchronous and there is no transaction to begin: statements with no
//! `await` between them reach the disk as one. If one fails, the earlier ones stay. A
//! message's place is the table's rowid, so a message is one row and no index entry. A
//! result is one text; JavaScript never takes rows apart.

mod load;
mod read;
mod retention;
mod schema;

use super::Refused;
use multiclaude_hybrid_core::mailbox::{Advance, Kind, Write};
use multiclaude_hybrid_protocol::message::MessageStatus;
use multiclaude_hybrid_protocol::{Owner, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use worker::{Error, SqlStorage, SqlStorageValue};

/// The status as on the wire.
macro_rules! status {
    () => {
        "CASE status WHEN 0 THEN 'pending' WHEN 1 THEN 'delivered' WHEN 2 THEN 'acked' ELSE 'failed' END"
    };
}
use status;

/// A message's wire form. The fields that change follow `head`.
const MESSAGE: &str = concat!(
    "head || ',\"status\":\"' || ",
    status!(),
    " || '\",\"attempts\":' || attempts \
     || iif(delivered_at IS NULL, '', ',\"delivered_at\":\"' || delivered_at || '\"') \
     || iif(seen_at IS NULL, '', ',\"seen_at\":\"' || seen_at || '\"') \
     || iif(acked_at IS NULL, '', ',\"acked_at\":\"' || acked_at || '\"') \
     || iif(failed_at IS NULL, '', ',\"failed_at\":\"' || failed_at || '\"') \
     || iif(failure_reason IS NULL, '', ',\"failure_reason\":\"' || failure_reason || '\"') \
     || iif(last_error IS NULL, '', ',\"last_error\":\"' || last_error || '\"') || '}'"
);

/// The wire form of a message that was just stored: a request for a worker is pushed
/// without a status.
pub fn wire_form(kind: Kind, head: &str, attempts: u32) -> String {
    match kind {
        Kind::Agent => format!("{head},\"status\":\"pending\",\"attempts\":{attempts}}}"),
        Kind::Spawns => format!("{head}}}"),
    }
}

fn status_number(status: MessageStatus) -> i64 {
    match status {
        MessageStatus::Pending => 0,
        MessageStatus::Delivered => 1,
        MessageStatus::Acked => 2,
        MessageStatus::Failed => 3,
    }
}

/// The object's database, and how many rows were written through it.
#[derive(Debug)]
pub struct Sql {
    storage: SqlStorage,
    rows: Cell<u32>,
}

/// A message's row, for decisions about it.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// The UUID of its id.
    pub uuid: String,
    pub generation: u32,
    pub status: MessageStatus,
    /// Is it proven that the agent received it?
    pub seen: bool,
    /// The principal that sent it.
    pub from_owner: String,
    /// The owner of the agent that sent it.
    pub sender_owner: Option<String>,
}

#[derive(Debug)]
pub struct Page {
    /// A JSON array.
    pub items: String,
    pub count: u32,
    /// The place of the last one, if more follow.
    pub next: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub struct Key {
    /// The content that it was used for.
    pub content: String,
    /// The message's wire form, while it is kept.
    pub message: Option<String>,
    /// Once the row is deleted: the fields that the coordinator decided (id, times, status).
    pub outcome: Option<String>,
}

/// The wire form of a message whose row is deleted, from the outcome that was kept with
/// its key and the fields that the sender has sent again.
pub fn remembered_message(outcome: &str, fields: &str) -> String {
    let kept = outcome.strip_prefix('{').unwrap_or(outcome);
    format!("{{{fields},{kept}")
}

/// The refusal after a failed statement. SQLite's code ends the message. These codes mean
/// an internal error; any other, such as `SQLITE_BUSY`, `SQLITE_FULL` or `SQLITE_IOERR`,
/// means that the storage is unavailable.
fn fault(error: Error) -> Refused {
    const OURS: [&str; 7] =
        ["ERROR", "CONSTRAINT", "MISMATCH", "RANGE", "MISUSE", "TOOBIG", "AUTH"];
    let cause = error.to_string();
    let code = cause.rsplit_once("SQLITE_").map_or("", |(_, code)| code);
    let name = code.split(|letter: char| !letter.is_ascii_uppercase()).next();
    if name.is_some_and(|name| OURS.contains(&name)) {
        Refused::Broken { cause }
    } else {
        Refused::Unavailable { cause }
    }
}

fn seq(value: u64) -> SqlStorageValue {
    SqlStorageValue::Integer(value as i64)
}

impl Sql {
    pub fn new(storage: SqlStorage) -> Self {
        Self { storage, rows: Cell::new(0) }
    }

    /// Rows written since the last call.
    pub fn take_rows(&self) -> u32 {
        self.rows.replace(0)
    }

    fn run(&self, sql: &str, binds: Vec<SqlStorageValue>) -> Result<(), Refused> {
        let cursor = self.storage.exec(sql, binds).map_err(fault)?;
        self.rows.set(self.rows.get() + cursor.rows_written() as u32);
        Ok(())
    }

    /// The texts in the first row.
    fn texts(&self, sql: &str, binds: Vec<SqlStorageValue>) -> Result<Vec<String>, Refused> {
        let mut rows = self.storage.exec(sql, binds).map_err(fault)?.raw();
        let row = rows.next().transpose().map_err(fault)?;
        let texts = row.into_iter().flatten().filter_map(|value| match value {
            SqlStorageValue::String(text) => Some(text),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The first text in the first row.
    fn text(&self, sql: &str, binds: Vec<SqlStorageValue>) -> Result<Option<String>, Refused> {
        Ok(self.texts(sql, binds)?.into_iter().next())
    }

    fn json<T: DeserializeOwned>(
        &self,
        sql: &str,
        binds: Vec<SqlStorageValue>,
    ) -> Result<Option<T>, Refused> {
        let text = self.text(sql, binds)?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Executes one write: one statement.
    pub fn apply(&self, write: Write) -> Result<(), Refused> {
        match write {
            Write::Config(config) => self.run(
                "INSERT INTO config (id, data) VALUES (1, ?) \
                 ON CONFLICT (id) DO UPDATE SET data = excluded.data",
                vec![serde_json::to_string(&config)?.into()],
            ),
            Write::Insert(row) => self.run(
                "INSERT INTO messages (seq, uuid, generation, expires_at, sender, sender_owner, key, push_id, head) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                vec![
                    seq(row.seq),
                    row.uuid.into(),
                    i64::from(row.generation).into(),
                    row.expires_at.into(),
                    row.sender.map(|sender| serde_json::to_string(&sender)).transpose()?.into(),
                    row.sender_owner.as_ref().map(Owner::as_str).into(),
                    row.key.into(),
                    row.push_id.into(),
                    row.head.into(),
                ],
            ),
            Write::RememberKey(row) => self.run(
                "INSERT INTO keys (scope, content, seq, expires_at) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (scope) DO UPDATE SET content = excluded.content, seq = excluded.seq, \
                 expires_at = excluded.expires_at, outcome = NULL",
                vec![row.key.scope.into(), row.key.content.into(), seq(row.seq), row.expires_at.into()],
            ),
            Write::Advance(advance) => self.advance(&advance),
            Write::Attempt { seq: at, attempts, error } => self.run(
                "UPDATE messages SET attempts = ?, last_error = ? WHERE seq = ?",
                vec![i64::from(attempts).into(), error.into(), seq(at)],
            ),
            Write::AddNotice(row) => self.run(
                "INSERT INTO notices (seq, uuid, batch, recipient, reason) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT DO NOTHING",
                vec![
                    seq(row.seq),
                    row.uuid.into(),
                    seq(row.batch),
                    serde_json::to_string(&row.recipient)?.into(),
                    row.reason.as_str().into(),
                ],
            ),
            Write::DeleteNotices { batch } => {
                self.run("DELETE FROM notices WHERE batch = ?", vec![seq(batch)])
            }
        }
    }

    fn advance(&self, to: &Advance) -> Result<(), Refused> {
        // A failed message stays failed; only a pending one can fail. `seen_at` is also set
        // on messages that are already acked.
        let sql = "UPDATE messages SET status = max(status, ?1), \
             delivered_at = iif(?1 = 3, delivered_at, coalesce(delivered_at, ?2)), \
             seen_at = iif(?7, coalesce(seen_at, ?2), seen_at), \
             acked_at = iif(?1 = 2, coalesce(acked_at, ?2), acked_at), \
             failed_at = iif(?1 = 3, ?2, failed_at), failure_reason = ?6, \
             purge_at = iif(status < ?1, ?3, purge_at), attempts = coalesce(?4, attempts) \
             WHERE seq = ?5 AND (status < iif(?1 = 3, 1, ?1) \
             OR (?7 AND seen_at IS NULL AND status < 3))";
        self.run(
            sql,
            vec![
                status_number(to.status).into(),
                Timestamp(to.at).to_string().into(),
                to.purge_at.into(),
                to.attempts.map(i64::from).into(),
                seq(to.seq),
                to.reason.map(|reason| reason.as_str()).into(),
                i64::from(to.seen).into(),
            ],
        )
    }

    /// Saves the mark below which no message is pending.
    pub fn save_low_water(&self, mark: u64) -> Result<(), Refused> {
        self.run("UPDATE config SET low_water = ? WHERE low_water <> ?1", vec![seq(mark)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_statement_is_an_internal_error_or_unavailable_storage() {
        let ours =
            |text: &str| matches!(fault(Error::RustError(text.into())), Refused::Broken { .. });
        for text in [
            "no such column: x at offset 7: SQLITE_ERROR",
            "UNIQUE constraint failed: messages.seq: SQLITE_CONSTRAINT",
            "UNIQUE constraint failed: messages.seq: SQLITE_CONSTRAINT_PRIMARYKEY",
            "string or blob too big: SQLITE_TOOBIG",
        ] {
            assert!(ours(text), "{text}");
        }
        for text in [
            "database is locked: SQLITE_BUSY",
            "database is locked: SQLITE_BUSY_SNAPSHOT",
            "database or disk is full: SQLITE_FULL",
            "disk I/O error: SQLITE_IOERR",
            "unable to open database file: SQLITE_CANTOPEN",
            "internal error; reference = 3kq2",
            "",
        ] {
            assert!(!ours(text), "{text}");
        }
    }
}
