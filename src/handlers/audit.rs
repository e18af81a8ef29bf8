//! The audit log.

use crate::answer::Handled;
use crate::caller::RepoCaller;
use crate::context::Context;
use crate::error::forbidden;
use crate::query::Query;
use crate::store::audit as store;
use multiclaude_hybrid_protocol::AuditId;
use multiclaude_hybrid_protocol::token::TokenKind;

/// `GET …/audit`: the audit log of the repo, the newest entry first, for service and admin
/// tokens.
pub async fn list(context: Context, caller: RepoCaller, query: Query) -> Handled {
    let kind = caller.principal().kind;
    if kind == TokenKind::User {
        return Err(forbidden("The audit log of a repo is shown to service and admin tokens."));
    }
    let limit = query.limit()?;
    let after = query.parsed("after", |text| {
        AuditId::parse(text).ok_or("must be the id of an entry, aud_<32 hex digits>")
    })?;
    let after = after.as_ref().map(AuditId::as_str);
    let all_tokens = kind == TokenKind::Admin;
    let page = store::list(context.db()?, &caller.repo, all_tokens, limit, after).await?;
    query.paged(&context, page)
}
