//! The tables, and the changes to those that an older version made.
//!
//! The columns of `messages`:
//!
//! | column | what it is |
//! |---|---|
//! | `seq` | the place |
//! | `uuid` | the UUID of the id, in hex |
//! | `generation` | the incarnation that it is for |
//! | `status` | 0 pending, 1 delivered, 2 acked, 3 failed |
//! | `attempts`, `last_error` | pushes and offers so far; the class of the last failure |
//! | `expires_at`, `purge_at` | when it fails, and when the row may be deleted, in ms |
//! | `delivered_at`, `seen_at`, `acked_at`, `failed_at` | RFC 3339, as on the wire |
//! | `failure_reason` | as on the wire |
//! | `sender`, `sender_owner` | the agent to notify, as JSON; its owner, who may read the receipt |
//! | `key` | the scope of its idempotency key: hashed for a client's, plain for our own (`notice\|…`, `worker\|…`, `spawn\|…`) |
//! | `push_id` | the id of its pushes, if it is not the message's |
//! | `head` | the wire form up to the fields that change, without the last brace |

use super::Sql;
use crate::mailbox::Refused;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS config (
  id INTEGER PRIMARY KEY CHECK (id = 1), data TEXT NOT NULL, low_water INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS messages (
  seq INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL,
  generation INTEGER NOT NULL,
  status INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  expires_at INTEGER NOT NULL,
  purge_at INTEGER,
  delivered_at TEXT, acked_at TEXT, failed_at TEXT, failure_reason TEXT, last_error TEXT,
  sender TEXT, sender_owner TEXT, key TEXT,
  head TEXT NOT NULL,
  seen_at TEXT, push_id TEXT
);
CREATE TABLE IF NOT EXISTS keys (
  scope TEXT PRIMARY KEY, content TEXT NOT NULL, seq INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  outcome TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
  seq INTEGER PRIMARY KEY, uuid TEXT NOT NULL, batch INTEGER NOT NULL, recipient TEXT NOT NULL,
  reason TEXT NOT NULL
);";

/// Older versions kept the push id of a request for a worker at the beginning of `head`.
const ADD_PUSH_ID: &str = "ALTER TABLE messages ADD COLUMN push_id TEXT; \
     UPDATE messages SET push_id = (head || '}') ->> '$.webhook_id', \
     head = '{' || substr(head, instr(head, ',') + 1) WHERE head LIKE '{\"webhook_id\":%'";
/// The same versions did not store the kind of a mailbox.
const SET_KIND: &str = "UPDATE config SET data = json_set(data, '$.kind', 'Spawns') \
     WHERE data ->> '$.kind' IS NOT 'Spawns'";

impl Sql {
    /// Was this object ever configured? If so, updates tables that an older version made;
    /// else writes nothing. `spawns`: the object's name is one for requests for workers.
    pub fn migrate(&self, spawns: bool) -> Result<bool, Refused> {
        let sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'messages'";
        let Some(table) = self.text(sql, vec![])? else {
            return Ok(false);
        };
        if !table.contains("seen_at") {
            self.run("ALTER TABLE messages ADD COLUMN seen_at TEXT", vec![])?;
        }
        if !table.contains("push_id") {
            self.run(ADD_PUSH_ID, vec![])?;
            if spawns {
                self.run(SET_KIND, vec![])?;
            }
        }
        Ok(true)
    }

    pub fn create(&self) -> Result<(), Refused> {
        self.run(SCHEMA, vec![])
    }
}
