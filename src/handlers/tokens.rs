//! Tokens: made by admins and, for people, by services; managed by admins.

use super::query::Query;
use super::{Handled, json, nothing};
use crate::auth::Caller;
use crate::context::Context;
use crate::error::ApiError;
use crate::store::audit::Source;
use crate::{auth, body, cache, random, store};
use multiclaude_hybrid_protocol::audit::AuditAction;
use multiclaude_hybrid_protocol::fields::Fields;
use multiclaude_hybrid_protocol::token::{Scope, SecretToken, Token, TokenKind};
use multiclaude_hybrid_protocol::{ErrorCode, Owner, Timestamp, TokenId};
use serde_json::json;

/// Characters of a description.
const DESCRIPTION_MAX: usize = 200;
/// Entries of a token's scope.
const REPOS_MAX: usize = 100;

/// `POST /v1/tokens`: makes a token; the secret part is in this answer only.
pub async fn create(mut context: Context) -> Handled {
    let caller = auth::caller(&context).await?;
    caller.makes_tokens()?;
    let fields = body::fields(&mut context.request).await?;
    let mut token = read(fields, &context, &caller)?;
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

fn read(mut fields: Fields, context: &Context, caller: &Caller) -> Result<Token, ApiError> {
    let kind = fields.required("kind", TokenKind::parse);
    let owner = fields
        .required("owner", |text| Owner::parse(text).map_err(|error| format!("the owner {error}")));
    let repos = fields.list("repos", |text| Scope::parse(text).map_err(|error| error.to_string()));
    let description = fields.parsed("description", |text| {
        let fits = text.chars().count() <= DESCRIPTION_MAX;
        if fits { Ok(text.to_owned()) } else { Err("is longer than 200 characters") }
    });
    let expires_at = fields.parsed("expires_at", |text| {
        Timestamp::parse(text)
            .filter(|at| at.0 > context.now)
            .ok_or("must be an RFC 3339 time in the future")
    });
    let latest = caller.latest_end();
    if let Some(latest) = latest.filter(|latest| expires_at > Some(*latest)) {
        fields.fault(
            "expires_at",
            format_args!(
                "must not be later than {latest}: a token ends with the service token that makes it"
            ),
        );
    }
    let repos = repos.unwrap_or_default();
    match kind {
        Some(TokenKind::Admin) if !repos.is_empty() => {
            fields.fault("repos", "must be empty: an admin token is not bound to repos");
        }
        Some(TokenKind::User) if repos.iter().any(|scope| matches!(scope, Scope::Account(_))) => {
            fields.fault(
                "repos",
                "of a user token must be repos, owner/repo; owner/* is for services",
            );
        }
        Some(TokenKind::User | TokenKind::Service) if repos.is_empty() => {
            fields.fault("repos", "must name what the token covers, for example [\"acme/app\"]");
        }
        _ if repos.len() > REPOS_MAX => fields.fault("repos", "has more than 100 entries"),
        _ => {}
    }
    let id = TokenId::new(Timestamp(context.now), random::bytes()?);
    let token = kind.zip(owner).map(|(kind, owner)| Token {
        id,
        kind,
        owner,
        repos,
        description,
        created_at: Timestamp(context.now),
        created_by: Some(caller.token_id.clone()),
        expires_at: expires_at.or(latest),
        last_used_at: None,
        token: None,
    });
    fields.finish(token).map_err(ApiError::fields)
}

/// `GET /v1/tokens`: all tokens, without their secrets.
pub async fn list(context: Context) -> Handled {
    auth::admin(&context).await?;
    let query = Query::of(&context);
    let limit = query.limit()?;
    let after = query.get("after").unwrap_or_default();
    let page = store::tokens::list(context.db()?, limit, after).await?;
    query.paged(&context, page)
}

/// `DELETE /v1/tokens/{id}`: revokes a token.
pub async fn delete(context: Context) -> Handled {
    let caller = auth::admin(&context).await?;
    let id = TokenId::parse(context.id()).ok_or_else(|| {
        ApiError::parameter(
            ErrorCode::InvalidName,
            "id",
            "must be a token's id, tok_<32 hex digits>; the secret ADMIN_TOKEN is replaced with wrangler secret put",
        )
    })?;
    cache::forget_token(id.as_str());
    let mut entry = caller.entry(&context, "", AuditAction::TokenRevoked, id.as_str())?;
    entry.source = Source::Token;
    if store::tokens::delete(context.db()?, &id, &entry).await? {
        return nothing();
    }
    Err(ApiError::new(ErrorCode::TokenNotFound, "There is no token of this id (any longer)."))
}
