//! Tokens: made by admins and, for people, by services; managed by admins.

use crate::answer::{Handled, json, nothing};
use crate::caller::{Admin, Caller, TokenMaker};
use crate::context::Context;
use crate::error::ApiError;
use crate::extract::Json;
use crate::query::Query;
use crate::store::audit::Source;
use crate::{auth, cache, random, store};
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::error::FieldError;
use multiclaude_hybrid_protocol::token::{NewToken, SecretToken, Token};
use multiclaude_hybrid_protocol::{ErrorCode, Timestamp, TokenId};
use serde_json::json;

/// `POST /v1/tokens`: makes a token; the secret part is in this answer only.
pub async fn create(
    context: Context,
    TokenMaker(caller): TokenMaker,
    Json(new): Json<NewToken>,
) -> Handled {
    let mut token = token(new, &context, &caller)?;
    caller.may_make(&token)?;
    let secret = SecretToken::new(token.kind, random::bytes()?);
    let mut entry = caller.entry(&context, "", AuditAction::TokenCreated, token.id.as_str())?;
    entry.scopes = Some(serde_json::to_string(&token.repos)?);
    entry.detail = Some(json!({ "kind": token.kind, "owner": token.owner }).to_string());
    if !store::tokens::insert(context.db()?, &token, &secret.hash(), &entry).await? {
        auth::not_revoked(&context, &caller).await?;
        return Err(ApiError::new(
            ErrorCode::OwnerKindConflict,
            format!(
                "{} is known as a principal of the other kind. An owner is either a user or a \
                 service; choose another owner, or the other kind.",
                token.owner
            ),
        ));
    }
    token.token = Some(secret.reveal().to_owned());
    json(201, &token)
}

/// The requested token. It ends no later than a service token that makes it.
fn token(new: NewToken, context: &Context, caller: &Caller) -> Result<Token, ApiError> {
    let latest = caller.latest_end();
    let fault = match (new.expires_at, latest) {
        (Some(at), _) if at.0 <= context.now => {
            Some("must be an RFC 3339 time in the future".to_owned())
        }
        (Some(at), Some(latest)) if at > latest => Some(format!(
            "must not be later than {latest}: a token ends with the service token that makes it"
        )),
        _ => None,
    };
    if let Some(fault) = fault {
        return Err(ApiError::fields(vec![FieldError::new("expires_at", fault)]));
    }
    Ok(Token {
        id: TokenId::new(Timestamp(context.now), random::bytes()?),
        kind: new.kind,
        owner: new.owner,
        repos: new.repos,
        description: new.description,
        created_at: Timestamp(context.now),
        created_by: Some(caller.token_id.clone()),
        expires_at: new.expires_at.or(latest),
        last_used_at: None,
        token: None,
    })
}

/// `GET /v1/tokens`: all tokens, without their secrets.
pub async fn list(context: Context, _: Admin, query: Query) -> Handled {
    let limit = query.limit()?;
    let after = query.get("after").unwrap_or_default();
    let page = store::tokens::list(context.db()?, limit, after).await?;
    query.paged(&context, page)
}

/// `DELETE /v1/tokens/{id}`: revokes a token.
pub async fn delete(context: Context, Admin(caller): Admin, id: TokenId) -> Handled {
    cache::forget_token(id.as_str());
    let mut entry = caller.entry(&context, "", AuditAction::TokenRevoked, id.as_str())?;
    entry.source = Source::Token;
    if store::tokens::delete(context.db()?, &id, &entry).await? {
        return nothing();
    }
    Err(ApiError::new(ErrorCode::TokenNotFound, "There is no token with this id."))
}
