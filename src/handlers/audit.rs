//! The audit log.

use super::Handled;
use super::query::Query;
use crate::auth::{self, forbidden};
use crate::context::Context;
use crate::store::audit as store;
use multiclaude_hybrid_protocol::AuditId;
use multiclaude_hybrid_protocol::token::TokenKind;

/// `GET …/audit`: who did what in the repo, the newest first, for service and
/// admin tokens.
pub async fn list(context: Context) -> Handled {
    let caller = auth::repo_caller(&context).await?;
    let kind = caller.principal().kind;
    if kind == TokenKind::User {
        return Err(forbidden("The audit log of a repo is shown to service and admin tokens."));
    }
    let query = Query::of(&context);
    let limit = query.limit()?;
    let after = query.parsed("after", |text| {
        AuditId::parse(text).ok_or("must be the id of an entry, aud_<32 hex digits>")
    })?;
    let after = after.as_ref().map(AuditId::as_str);
    let all_tokens = kind == TokenKind::Admin;
    let page = store::list(context.db()?, &caller.repo, all_tokens, limit, after).await?;
    query.paged(&context, page)
}
