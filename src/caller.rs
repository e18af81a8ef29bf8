//! The caller of a request: the holder of a token, and its rights in the repo of the path.

use crate::context::Context;
use crate::error::{ApiError, forbidden};
use crate::random;
use crate::store::audit::{Entry, Source};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::access::{self, Principal};
use multiclaude_hybrid_protocol::audit::{ActorKind, AuditAction};
use multiclaude_hybrid_protocol::token::{Scope, Token, TokenKind};
use multiclaude_hybrid_protocol::{AuditId, Owner, Repo, Timestamp};
use std::rc::Rc;

/// The holder of a valid token.
#[derive(Debug)]
pub struct Caller {
    /// Names the token; not a secret.
    pub token_id: String,
    /// The kind and the owner of the token.
    pub principal: Principal,
    /// The repos and accounts that the token covers.
    pub scopes: Vec<Scope>,
    /// When the token ends, if it does.
    pub expires_at: Option<Ms>,
}

/// A caller whose token covers the repo of the request's path.
#[derive(Debug)]
pub struct RepoCaller {
    /// The holder of the token.
    pub caller: Rc<Caller>,
    /// The repo of the path.
    pub repo: Repo,
}

/// A caller that registers agents, sends messages and claims requests: not an admin.
#[derive(Debug)]
pub struct Participant(pub RepoCaller);

/// A caller that may make tokens: an admin or a service.
#[derive(Debug)]
pub struct TokenMaker(pub Rc<Caller>);

/// A caller with an admin token.
#[derive(Debug)]
pub struct Admin(pub Rc<Caller>);

impl Caller {
    /// The entry in the audit log for a change by this caller.
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

    /// 403 unless the caller may make this token. An admin may make any token. A service
    /// may make user tokens within its own scope.
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

    /// The latest end of a token that it makes: a service's own end.
    pub fn latest_end(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.principal.kind == TokenKind::Service).map(Timestamp)
    }

    /// Has the token ended?
    pub fn expired(&self, now: Ms) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl RepoCaller {
    /// The entry in the audit log for a change in this repo.
    pub fn entry(
        &self,
        context: &Context,
        action: AuditAction,
        subject: &str,
    ) -> Result<Entry, ApiError> {
        self.caller.entry(context, self.repo.as_str(), action, subject)
    }

    /// The kind and the owner of the token.
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// 403 unless the caller may act for an agent of `owner`. Changing the endpoint
    /// redirects messages, so [`RepoCaller::manages`] is not enough.
    pub fn acts_for(&self, owner: &Owner) -> Result<(), ApiError> {
        if self.principal().acts_for(owner) {
            return Ok(());
        }
        Err(forbidden(
            "Only the owner's tokens and service tokens of the repo can change an agent's endpoint.",
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

/// 403: the caller may not make such a token.
pub fn makes_no_such_token() -> ApiError {
    forbidden(
        "Tokens are made with an admin token (mca_…). A service token (mcs_…) makes user tokens \
         alone, for repos that it covers itself.",
    )
}
