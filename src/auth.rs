//! Bearer token → [`Caller`], and the agents that it may act for.

use crate::caller::{Admin, Caller, Participant, RepoCaller, TokenMaker, makes_no_such_token};
use crate::context::Context;
use crate::error::{ApiError, forbidden};
use crate::extract::{FromRequest, Incarnation};
use crate::mailbox::Refused;
use crate::mailbox::door::mailbox_name;
use crate::store::agents::Holder;
use crate::{cache, store};
use multiclaude_hybrid_core::access::{self, Principal};
use multiclaude_hybrid_protocol::token::{SecretToken, TokenKind};
use multiclaude_hybrid_protocol::{AgentName, ErrorCode, Owner};
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// The id that stands for the secret `ADMIN_TOKEN` in logs.
const ADMIN_TOKEN_ID: &str = "tok_admin";

fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(ErrorCode::Unauthenticated, detail)
}

fn revoked() -> ApiError {
    unauthenticated("The token is unknown or was revoked. Ask an admin for a new one.")
}

fn bearer(context: &Context) -> Result<SecretToken, ApiError> {
    let header = context.request.headers().get("authorization")?;
    let token = header.as_deref().and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = token.ok_or_else(|| {
        unauthenticated("Send a token with every request, as Authorization: Bearer <token>.")
    })?;
    SecretToken::parse(token).ok_or_else(|| {
        unauthenticated(
            "The token is malformed: a token is mcu_, mcs_ or mca_ with 49 letters and digits, \
             the last six a checksum. Compare it with the one you were given.",
        )
    })
}

async fn look_up(
    context: &Context,
    token: &SecretToken,
    hash: [u8; 32],
) -> Result<Rc<Caller>, ApiError> {
    let admin = context.settings.admin_hash.is_some_and(|admin| bool::from(admin.ct_eq(&hash)));
    if admin {
        let owner = Owner::parse("admin").map_err(ApiError::internal)?;
        return Ok(Rc::new(Caller {
            token_id: ADMIN_TOKEN_ID.to_owned(),
            principal: Principal { kind: TokenKind::Admin, owner },
            scopes: Vec::new(),
            expires_at: None,
        }));
    }
    let stored = store::tokens::find(context.db()?, &hash).await?;
    let stored = stored.filter(|stored| stored.kind == token.kind()).ok_or_else(revoked)?;
    let caller = Rc::new(Caller {
        token_id: stored.id.to_string(),
        principal: Principal { kind: stored.kind, owner: stored.owner },
        scopes: stored.repos,
        expires_at: stored.expires_at.map(|at| at.0),
    });
    if caller.expired(context.now) {
        return Err(unauthenticated("The token has expired. Ask an admin for a new one."));
    }
    cache::remember_caller(hash, Rc::clone(&caller), context.now);
    context.touch_token(caller.token_id.clone());
    Ok(caller)
}

/// The caller of a request, from the cache or D1 (one statement).
impl FromRequest for Rc<Caller> {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let token = bearer(context)?;
        let hash = token.hash();
        let now = context.now;
        let caller = match cache::caller(&hash, now).filter(|caller| !caller.expired(now)) {
            Some(caller) => caller,
            None => look_up(context, &token, hash).await?,
        };
        context.note_caller(&caller.token_id);
        Ok(caller)
    }
}

impl FromRequest for Admin {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let caller = Rc::<Caller>::from_request(context).await?;
        if caller.principal.kind == TokenKind::Admin {
            return Ok(Self(caller));
        }
        Err(forbidden("Tokens are managed with an admin token (mca_…)."))
    }
}

impl FromRequest for TokenMaker {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let caller = Rc::<Caller>::from_request(context).await?;
        match caller.principal.kind {
            TokenKind::Admin | TokenKind::Service => Ok(Self(caller)),
            TokenKind::User => Err(makes_no_such_token()),
        }
    }
}

impl FromRequest for RepoCaller {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let (caller, repo) = (Rc::<Caller>::from_request(context).await?, context.repo()?);
        if access::covers(caller.principal.kind, &caller.scopes, &repo) {
            return Ok(Self { caller, repo });
        }
        Err(forbidden(&format!(
            "The token does not cover {repo}. An admin can make one that does."
        )))
    }
}

impl FromRequest for Participant {
    async fn from_request(context: &mut Context) -> Result<Self, ApiError> {
        let caller = RepoCaller::from_request(context).await?;
        if caller.principal().takes_part() {
            return Ok(Self(caller));
        }
        Err(forbidden(
            "An admin token manages tokens, configuration and the registry; it registers no \
             agents and sends and reads no messages. A user or service token does.",
        ))
    }
}

/// 401 if the caller's token was revoked since it was looked up.
pub async fn not_revoked(context: &Context, caller: &Caller) -> Result<(), ApiError> {
    let id = &caller.token_id;
    if id == ADMIN_TOKEN_ID || store::tokens::exists(context.db()?, id).await? {
        return Ok(());
    }
    cache::forget_token(id);
    Err(revoked())
}

/// The agent `name`, if the caller may act for it; 403, naming `field`, if not.
///
/// A cached holder is enough to allow. D1 is read again before refusing.
pub async fn acting_for(
    context: &Context,
    caller: &RepoCaller,
    incarnation: &Incarnation,
    name: &AgentName,
    field: &str,
) -> Result<Holder, ApiError> {
    let principal = caller.principal();
    let mailbox = mailbox_name(&caller.repo, name);
    // A caller that names its incarnation gets that one, or an error.
    let is_wanted = |holder: &Holder| incarnation.is(&holder.id);
    let known = cache::holder(&mailbox, context.now).filter(is_wanted);
    if let Some(holder) = known.filter(|holder| principal.acts_for(&holder.owner)) {
        return Ok(holder);
    }
    if let Some(holder) = store::agents::holder(context.db()?, &caller.repo, name).await? {
        cache::remember_holder(mailbox, holder.clone(), context.now);
        if !is_wanted(&holder) {
            return Err(Refused::Superseded.into());
        }
        if principal.acts_for(&holder.owner) {
            return Ok(holder);
        }
    }
    Err(forbidden(&format!(
        "{field}: no agent {name} that {} may act for is registered in {}. A user token may also \
         speak as user:<owner>.",
        principal.owner, caller.repo
    )))
}
