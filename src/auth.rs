//! Bearer token → [`Caller`] → [`RepoCaller`], the type that every handler of
//! a repo's resource must take.

use crate::context::Context;
use crate::error::ApiError;
use crate::mailbox::Refused;
use crate::mailbox::door::mailbox_name;
use crate::store::agents::Holder;
use crate::store::audit::{Entry, Source};
use crate::{cache, random, store};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::access::{self, Principal};
use multiclaude_hybrid_protocol::audit::{ActorKind, AuditAction};
use multiclaude_hybrid_protocol::token::{Scope, SecretToken, Token, TokenKind, WhoAmI};
use multiclaude_hybrid_protocol::{AgentName, AuditId, ErrorCode, Owner, Repo, Timestamp};
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// The id that stands for the secret `ADMIN_TOKEN` in logs.
const ADMIN_TOKEN_ID: &str = "tok_admin";

/// The holder of a valid token.
#[derive(Debug)]
pub struct Caller {
    /// Names the token; not a secret.
    pub token_id: String,
    /// Whom it speaks for.
    pub principal: Principal,
    scopes: Vec<Scope>,
    expires_at: Option<Ms>,
}

/// A caller whose token covers the repo of the request's path.
#[derive(Debug)]
pub struct RepoCaller {
    caller: Rc<Caller>,
    /// The repo of the path.
    pub repo: Repo,
}

impl Caller {
    /// What the audit log is to tell of something done by this caller.
    pub fn entry(
        &self,
        context: &Context,
        repo: &str,
        action: AuditAction,
        subject: &str,
    ) -> Result<Entry, ApiError> {
        let kind = match self.principal.kind {
            TokenKind::Admin => ActorKind::Admin,
            TokenKind::User => ActorKind::User,
            TokenKind::Service => ActorKind::Service,
        };
        Ok(Entry {
            id: AuditId::new(Timestamp(context.now), random::bytes()?),
            at: context.now,
            repo: repo.to_owned(),
            token_id: self.token_id.clone(),
            kind,
            owner: self.principal.owner.as_str().to_owned(),
            action,
            subject: subject.to_owned(),
            detail: None,
            scopes: None,
            source: Source::Said,
        })
    }

    /// What `GET /v1/whoami` answers.
    pub fn who(&self) -> WhoAmI {
        WhoAmI {
            token_id: self.token_id.clone(),
            kind: self.principal.kind,
            owner: self.principal.owner.clone(),
            repos: self.scopes.clone(),
            expires_at: self.expires_at.map(Timestamp),
        }
    }

    /// When the token ends, if it does.
    pub fn expires_at(&self) -> Option<Ms> {
        self.expires_at
    }

    /// 403 unless the caller may make tokens at all.
    pub fn makes_tokens(&self) -> Result<(), ApiError> {
        match self.principal.kind {
            TokenKind::Admin | TokenKind::Service => Ok(()),
            TokenKind::User => Err(makes_no_such_token()),
        }
    }

    /// 403 unless the caller may make this token: an admin every one, a service
    /// a user's that reaches no further than its own.
    pub fn may_make(&self, token: &Token) -> Result<(), ApiError> {
        match (self.principal.kind, token.kind) {
            (TokenKind::Admin, _) => Ok(()),
            (TokenKind::Service, TokenKind::User) => {
                match access::beyond(&self.scopes, &token.repos) {
                    None => Ok(()),
                    Some(scope) => Err(forbidden(&format!(
                        "A service token makes user tokens for repos that it covers itself; it \
                         does not cover {scope}."
                    ))),
                }
            }
            _ => Err(makes_no_such_token()),
        }
    }

    /// When a token that it makes ends at the latest: a service's with its own.
    pub fn latest_end(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.principal.kind == TokenKind::Service).map(Timestamp)
    }

    fn expired(&self, now: Ms) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl RepoCaller {
    /// What the audit log is to tell of something done in this repo.
    pub fn entry(
        &self,
        context: &Context,
        action: AuditAction,
        subject: &str,
    ) -> Result<Entry, ApiError> {
        self.caller.entry(context, self.repo.as_str(), action, subject)
    }

    /// The holder of the token.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whom the token speaks for.
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// 403 unless the caller may register agents and send messages at all.
    pub fn takes_part(&self) -> Result<(), ApiError> {
        if self.principal().takes_part() {
            return Ok(());
        }
        Err(forbidden(
            "An admin token manages tokens, configuration and the registry; it registers no \
             agents and sends and reads no messages. A user or service token does.",
        ))
    }

    /// 403 unless the caller may act for an agent of `owner`: where mail goes
    /// is as good as reading it, so managing is not enough.
    pub fn acts_for(&self, owner: &Owner) -> Result<(), ApiError> {
        if self.principal().acts_for(owner) {
            return Ok(());
        }
        Err(forbidden(
            "Where an agent's messages go is changed by its owner's tokens and service tokens of \
             the repo alone.",
        ))
    }

    /// 403 unless the caller may change an agent of `owner`.
    pub fn manages(&self, owner: &Owner) -> Result<(), ApiError> {
        if self.principal().manages(owner) {
            return Ok(());
        }
        Err(forbidden(
            "This agent belongs to another owner. Only its owner's tokens, service tokens of the \
             repo and admin tokens may change it.",
        ))
    }
}

/// A 403 with its reason.
pub fn forbidden(detail: &str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, detail)
}

fn makes_no_such_token() -> ApiError {
    forbidden(
        "Tokens are made with an admin token (mca_…). A service token (mcs_…) makes user tokens \
         alone, for repos that it covers itself.",
    )
}

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

/// The caller of this request, from the cache or D1 (one statement).
pub async fn caller(context: &Context) -> Result<Rc<Caller>, ApiError> {
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

/// The caller, if its token covers the repo of the path.
pub async fn repo_caller(context: &Context) -> Result<RepoCaller, ApiError> {
    let caller = caller(context).await?;
    let repo = context.repo()?;
    if access::covers(caller.principal.kind, &caller.scopes, &repo) {
        return Ok(RepoCaller { caller, repo });
    }
    Err(forbidden(&format!("The token does not cover {repo}. An admin can make one that does.")))
}

/// The caller, if it is an admin.
pub async fn admin(context: &Context) -> Result<Rc<Caller>, ApiError> {
    let caller = caller(context).await?;
    if caller.principal.kind == TokenKind::Admin {
        return Ok(caller);
    }
    Err(forbidden("Tokens are managed with an admin token (mca_…)."))
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
/// What the isolate remembers is believed for a yes; before a no it looks into
/// D1 again.
pub async fn acting_for(
    context: &Context,
    caller: &RepoCaller,
    name: &AgentName,
    field: &str,
) -> Result<Holder, ApiError> {
    let principal = caller.principal();
    let mailbox = mailbox_name(&caller.repo, name);
    // A caller that says which incarnation it is gets that one or is told.
    let wanted = context.agent_id()?;
    let is_wanted = |holder: &Holder| wanted.as_ref().is_none_or(|id| *id == holder.id);
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
