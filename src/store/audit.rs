//! The table `audit`.
//!
//! An entry is written in one batch with its change, and only if that changed a row: there
//! is no change without an entry, and no entry without a change.

use super::db::{Db, binds, parse};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::audit::{ActorKind, AuditAction};
use multiclaude_hybrid_protocol::{AuditId, Repo};
use serde::de::DeserializeOwned;
use worker::D1PreparedStatement;

/// The source of an entry's repos and subject.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// The entry itself; written after a statement that changed something.
    Said,
    /// The request that holds the lease named as subject; after its claim.
    Lease,
    /// The token named as subject; before it is deleted.
    Token,
}

/// An entry to be written.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: AuditId,
    pub at: Ms,
    /// The repo; empty for tokens.
    pub repo: String,
    /// The token's id, or the callback's `webhook-id`.
    pub token_id: String,
    pub kind: ActorKind,
    pub owner: String,
    pub action: AuditAction,
    /// The id or name of the changed thing.
    pub subject: String,
    /// A JSON object of texts.
    pub detail: Option<String>,
    /// For a token: a JSON array of its repos.
    pub scopes: Option<String>,
    /// The source of its repos and subject.
    pub source: Source,
}

impl Entry {
    /// The statement that writes it.
    pub(super) fn prepare(&self, db: &Db) -> Result<D1PreparedStatement, ApiError> {
        let (subject, scopes, rest) = match self.source {
            Source::Said => ("?8", "?10", "WHERE changes() > 0"),
            Source::Lease => (
                "id",
                "?10",
                "FROM spawns WHERE repo = ?2 AND finished_at IS NULL AND status = 'in_progress' AND lease = ?8",
            ),
            Source::Token => ("?8", "coalesce(?10, repos)", "FROM tokens WHERE id = ?8"),
        };
        let sql = format!(
            "INSERT INTO audit (id, repo, at, token_id, kind, owner, action, subject, detail, scopes) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, {subject}, ?9, {scopes} {rest}"
        );
        db.prepare(
            &sql,
            &binds! {
                self.id.as_str(), &self.repo, self.at, &self.token_id, self.kind.as_str(),
                &self.owner, self.action.as_str(), &self.subject, self.detail.as_deref(),
                self.scopes.as_deref(),
            },
        )
    }
}

/// Executes a change; returns whether it has changed a row. Otherwise as [`first_recorded`].
pub(super) async fn execute_recorded(
    db: &Db,
    change: D1PreparedStatement,
    entry: Option<&Entry>,
) -> Result<bool, ApiError> {
    Ok(first_recorded::<u32>(db, None, change, entry).await?.is_some())
}

/// Executes a change that returns a row, and writes its entry, if there is one, in the
/// same batch; `before` is a statement before it.
pub(super) async fn first_recorded<T: DeserializeOwned>(
    db: &Db,
    before: Option<D1PreparedStatement>,
    change: D1PreparedStatement,
    entry: Option<&Entry>,
) -> Result<Option<T>, ApiError> {
    let of = usize::from(before.is_some());
    // The entry is about the statement right before it.
    let entry = entry.map(|entry| entry.prepare(db)).transpose()?;
    let statements = before.into_iter().chain([change]).chain(entry).collect();
    parse(db.batch(statements, of).await?)
}

/// A repo's entries and those of the tokens that cover it, the newest first: a JSON array,
/// and the cursor of the next page. `all_tokens` includes admin tokens, which cover every
/// repo.
pub async fn list(
    db: &Db,
    repo: &Repo,
    all_tokens: bool,
    limit: u32,
    before: Option<&str>,
) -> Result<(String, Option<String>), ApiError> {
    let sql = "WITH found AS (SELECT * FROM audit WHERE id < ?3 AND (repo = ?1 OR repo = '' AND \
         (EXISTS (SELECT 1 FROM json_each(scopes) WHERE value IN (?1, ?2)) OR ?5 AND scopes = '[]')) \
         ORDER BY id DESC LIMIT ?4 + 1), \
         page AS (SELECT * FROM found ORDER BY id DESC LIMIT ?4) \
         SELECT json_array(iif((SELECT count(*) FROM found) > ?4, (SELECT min(id) FROM page), NULL), \
         coalesce('[' || group_concat(json_patch('{}', json_object('id', id, 'repo', nullif(repo, ''), \
         'at', strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), \
         'actor', json_object('token_id', token_id, 'kind', kind, 'owner', owner), \
         'action', action, 'subject', subject, 'detail', json(detail))), ',' ORDER BY id DESC) || ']', '[]')) \
         AS row FROM page";
    let account = repo.as_str().split('/').next().unwrap_or_default();
    let whole_account = format!("{account}/*");
    let binds = binds! {
        repo.as_str(), &whole_account,
        // Above every id.
        before.unwrap_or("aud_g"), limit, all_tokens,
    };
    db.page(sql, &binds).await
}

/// Deletes at most 500 entries that are older than `before`.
pub async fn purge(db: &Db, before: &AuditId) -> Result<(), ApiError> {
    let sql =
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ?1 ORDER BY id LIMIT 500)";
    db.execute(sql, &binds! { before.as_str() }).await
}
