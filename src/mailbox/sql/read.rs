//! Reads messages and keys.

use super::{Found, Key, MESSAGE, Page, Sql, seq, status, status_number};
use crate::mailbox::Refused;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::mailbox::Stored;
use multiclaude_hybrid_protocol::AgentName;
use multiclaude_hybrid_protocol::message::MessageStatus;

/// Bytes of messages in one page of a list: a page is one row, and a row of SQLite in an
/// object has at most 2 MB.
const PAGE_BYTES: u32 = 1024 * 1024;

impl Sql {
    pub fn find(&self, at: u64) -> Result<Option<Found>, Refused> {
        self.json(
            concat!(
                "SELECT json_object('uuid', uuid, 'generation', generation, 'status', ",
                status!(),
                ", \
             'seen', json(iif(seen_at IS NULL, 'false', 'true')), \
             'from_owner', (head || '}') ->> '$.from_owner', 'sender_owner', sender_owner) \
             FROM messages WHERE seq = ?"
            ),
            vec![seq(at)],
        )
    }

    pub fn message(&self, at: u64) -> Result<Option<String>, Refused> {
        self.text(&format!("SELECT {MESSAGE} FROM messages WHERE seq = ?"), vec![seq(at)])
    }

    /// A message as it is pushed or offered: the id, and the wire form.
    pub fn outgoing(
        &self,
        at: u64,
        agent: &AgentName,
    ) -> Result<Option<(String, String)>, Refused> {
        let sql = format!(
            "SELECT coalesce(push_id, 'msg_' || uuid || '_' || ?2), \
             iif(push_id IS NULL, {MESSAGE}, head || '}}') FROM messages WHERE seq = ?1"
        );
        let mut texts = self.texts(&sql, vec![seq(at), agent.as_str().into()])?.into_iter();
        Ok(texts.next().zip(texts.next()))
    }

    /// A remembered key, with its message or the outcome that was kept. If a crash came
    /// before the message was stored, another message may have its place now.
    pub fn key(&self, scope: &str, now: Ms) -> Result<Option<Key>, Refused> {
        self.json(
            &format!(
                "SELECT json_object('content', keys.content, 'outcome', keys.outcome, 'message', \
                 (SELECT {MESSAGE} FROM messages \
                 WHERE messages.seq = keys.seq AND messages.key = keys.scope)) \
                 FROM keys WHERE scope = ? AND expires_at > ?"
            ),
            vec![scope.into(), now.into()],
        )
    }

    /// A page of the messages of one incarnation: at most `limit`, at most
    /// [`PAGE_BYTES`] (but always one), with a place above `after`.
    pub fn page(
        &self,
        generation: u32,
        status: Option<MessageStatus>,
        after: u64,
        limit: u32,
    ) -> Result<Page, Refused> {
        type Meta = (u32, u32, Option<u64>);
        let sql = format!(
            "WITH found AS (SELECT * FROM messages WHERE seq > ?1 AND generation = ?2 \
               AND (?4 IS NULL OR status = ?4) ORDER BY seq LIMIT ?3 + 1), \
             sized AS (SELECT *, row_number() OVER places AS place, \
               sum(octet_length(head)) OVER places - octet_length(head) AS before \
               FROM found WINDOW places AS (ORDER BY seq)) \
             SELECT json_array((SELECT count(*) FROM found), count(*), max(seq)) || char(10) || '[' \
               || coalesce(group_concat({MESSAGE}, ',' ORDER BY seq), '') || ']' \
             FROM sized WHERE place <= ?3 AND before <= {PAGE_BYTES}"
        );
        let status = status.map(status_number);
        let binds =
            vec![seq(after), i64::from(generation).into(), i64::from(limit).into(), status.into()];
        let text = self.text(&sql, binds)?.unwrap_or_default();
        let (meta, items) = text.split_once('\n').unwrap_or(("[0,0,null]", "[]"));
        let (found, count, last): Meta = serde_json::from_str(meta)?;
        Ok(Page { items: items.to_owned(), count, next: last.filter(|_| found > count) })
    }

    /// The fields of these messages that are needed to fail them.
    pub fn stored(&self, seqs: &[u64]) -> Result<Vec<Stored>, Refused> {
        let stored = self.json(
            "SELECT json_group_array(json_array(seq, uuid, json(sender))) FROM messages \
             WHERE seq IN (SELECT value FROM json_each(?))",
            vec![serde_json::to_string(seqs)?.into()],
        )?;
        Ok(stored.unwrap_or_default())
    }
}
