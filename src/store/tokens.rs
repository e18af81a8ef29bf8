//! The tables `tokens` and `principals`.

use super::audit::{self, Entry};
use super::db::{Db, binds};
use crate::error::ApiError;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_protocol::TokenId;
use multiclaude_hybrid_protocol::token::{Token, TokenKind};

/// A token in its wire form. `json_patch` drops nulls.
const WIRE: &str = "json_patch('{}', json_object('id', id, 'kind', kind, 'owner', owner, \
     'repos', json(repos), 'description', description, \
     'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch'), \
     'created_by', created_by, \
     'expires_at', strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1000.0, 'unixepoch'), \
     'last_used_at', strftime('%Y-%m-%dT%H:%M:%fZ', last_used_at / 1000.0, 'unixepoch')))";

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

pub async fn find(db: &Db, hash: &[u8; 32]) -> Result<Option<Token>, ApiError> {
    let sql = format!("SELECT {WIRE} AS row FROM tokens WHERE hash = ?1");
    db.first(&sql, &binds! { &hex(hash) }).await
}

/// Does a token with this id exist?
pub async fn exists(db: &Db, id: &str) -> Result<bool, ApiError> {
    let sql = "SELECT '1' AS row FROM tokens WHERE id = ?1";
    db.has_row(sql, &binds! { id }).await
}

/// Stores a token; `false` if its owner is a principal of the other kind, or the token
/// that makes it is gone.
///
/// The first user or service token fixes the kind of an owner. D1, not the cache, is asked
/// whether the token that makes it still exists: otherwise a leaked token could make
/// tokens after its revocation.
pub async fn insert(
    db: &Db,
    token: &Token,
    hash: &[u8; 32],
    entry: &Entry,
) -> Result<bool, ApiError> {
    if token.kind != TokenKind::Admin {
        let sql = "INSERT INTO principals (owner, kind) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        db.execute(sql, &binds! { token.owner.as_str(), token.kind.as_str() }).await?;
    }
    let sql = "INSERT INTO tokens (id, hash, kind, owner, repos, description, created_at, expires_at, \
         created_by) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, CAST(?8 AS INTEGER), ?9 \
         WHERE (?3 = 'admin' OR EXISTS (SELECT 1 FROM principals WHERE owner = ?4 AND kind = ?3)) \
         AND (?9 = 'tok_admin' OR EXISTS (SELECT 1 FROM tokens WHERE id = ?9)) \
         RETURNING '1' AS row";
    let expires_at = token.expires_at.map(|time| time.0.to_string());
    let change = db.prepare(
        sql,
        &binds! {
            token.id.as_str(), &hex(hash), token.kind.as_str(), token.owner.as_str(),
            &serde_json::to_string(&token.repos)?, token.description.as_deref(),
            token.created_at.0, expires_at.as_deref(), token.created_by.as_deref(),
        },
    )?;
    audit::execute_recorded(db, change, Some(entry)).await
}

/// Tokens by id, at most `limit`, after the given one: a JSON array, and the
/// last id if more follow.
pub async fn list(db: &Db, limit: u32, after: &str) -> Result<(String, Option<String>), ApiError> {
    let sql = format!(
        "WITH found AS (SELECT * FROM tokens WHERE id > ?1 ORDER BY id LIMIT ?2 + 1), \
         page AS (SELECT * FROM found ORDER BY id LIMIT ?2) \
         SELECT json_array(iif((SELECT count(*) FROM found) > ?2, max(id), NULL), \
         coalesce('[' || group_concat({WIRE}, ',' ORDER BY id) || ']', '[]')) AS row FROM page"
    );
    db.page(&sql, &binds! { after, limit }).await
}

/// Revokes a token; `false` if there is none with this id.
pub async fn delete(db: &Db, id: &TokenId, entry: &Entry) -> Result<bool, ApiError> {
    let sql = "DELETE FROM tokens WHERE id = ?1 RETURNING '1' AS row";
    let delete = db.prepare(sql, &binds! { id.as_str() })?;
    // The entry comes first: it names the repos that the token covered.
    Ok(db.batch(vec![entry.prepare(db)?, delete], 1).await?.is_some())
}

/// Notes that a token was used, unless that was noted since `not_since`.
pub async fn touch(db: &Db, id: &str, now: Ms, not_since: Ms) -> Result<(), ApiError> {
    let sql = "UPDATE tokens SET last_used_at = ?2 \
         WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)";
    db.execute(sql, &binds! { id, now, not_since }).await
}
