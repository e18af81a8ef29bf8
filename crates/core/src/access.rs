//! What the holder of a token may do.
//!
//! | | admin | service | user |
//! |---|---|---|---|
//! | covers a repo (list, get) | every one | in scope | in scope |
//! | registers, sends to an agent | no | in scope | in scope |
//! | manages an agent (PATCH, DELETE) | every one | in scope | its owner's |
//! | acts for an agent (`from`, read, ack) | no | in scope | its owner's |
//! | makes a token | every one | a user's, in scope | no |

use multiclaude_hybrid_protocol::token::{Scope, TokenKind};
use multiclaude_hybrid_protocol::{Owner, Repo};
use serde::{Deserialize, Serialize};

/// Who makes a request, as the mailboxes need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The kind of its token.
    pub kind: TokenKind,
    /// The owner its token speaks for.
    pub owner: Owner,
}

impl Principal {
    /// May it send as, read for and acknowledge for an agent of `owner`?
    pub fn acts_for(&self, owner: &Owner) -> bool {
        self.acts_as(owner.as_str())
    }

    /// Is it the principal of this name, or a service, which stands for all?
    pub fn acts_as(&self, owner: &str) -> bool {
        match self.kind {
            TokenKind::Admin => false,
            TokenKind::Service => true,
            TokenKind::User => self.owner.as_str() == owner,
        }
    }

    /// May it change or deregister an agent of `owner`?
    pub fn manages(&self, owner: &Owner) -> bool {
        self.kind == TokenKind::Admin || self.acts_for(owner)
    }

    /// May it register agents and send messages at all?
    pub fn takes_part(&self) -> bool {
        self.kind != TokenKind::Admin
    }
}

/// Does a token of `kind` with these scopes cover `repo`?
pub fn covers(kind: TokenKind, scopes: &[Scope], repo: &Repo) -> bool {
    kind == TokenKind::Admin || scopes.iter().any(|scope| scope.covers(repo))
}

/// The first entry of `wanted` that `scopes` do not cover.
pub fn beyond<'a>(scopes: &[Scope], wanted: &'a [Scope]) -> Option<&'a Scope> {
    wanted.iter().find(|wanted| match wanted {
        Scope::Repo(repo) => !scopes.iter().any(|scope| scope.covers(repo)),
        Scope::Account(_) => !scopes.contains(wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(kind: TokenKind) -> Principal {
        Principal { kind, owner: Owner::parse("dan").unwrap() }
    }

    #[test]
    fn a_user_acts_for_its_own_agents_a_service_for_all_an_admin_for_none() {
        let (dan, ann) = (Owner::parse("dan").unwrap(), Owner::parse("ann").unwrap());
        let acts = |kind| (principal(kind).acts_for(&dan), principal(kind).acts_for(&ann));
        assert_eq!(acts(TokenKind::User), (true, false));
        assert_eq!(acts(TokenKind::Service), (true, true));
        assert_eq!(acts(TokenKind::Admin), (false, false));
    }

    #[test]
    fn only_an_admin_covers_a_repo_without_a_scope() {
        let repo = Repo::parse("acme/app").unwrap();
        assert!(covers(TokenKind::Admin, &[], &repo));
        assert!(!covers(TokenKind::User, &[], &repo));
        assert!(covers(TokenKind::User, &[Scope::parse("acme/app").unwrap()], &repo));
        assert!(!covers(TokenKind::User, &[Scope::parse("acme/web").unwrap()], &repo));
    }

    #[test]
    fn the_first_entry_that_the_scopes_do_not_cover_is_beyond_them() {
        let scopes = |texts: &[&str]| -> Vec<Scope> {
            texts.iter().map(|text| Scope::parse(text).unwrap()).collect()
        };
        let beyond = |mine: &[&str], wanted: &[&str]| {
            beyond(&scopes(mine), &scopes(wanted)).map(ToString::to_string)
        };
        let mine = ["acme/*", "other/app"];
        assert_eq!(beyond(&mine, &["acme/app", "other/app", "acme/*"]), None);
        assert_eq!(
            beyond(&mine, &["acme/app", "acme2/app", "other/web"]).as_deref(),
            Some("acme2/app")
        );
        // One repo of an account is not all of it.
        assert_eq!(beyond(&mine, &["other/*"]).as_deref(), Some("other/*"));
        assert_eq!(beyond(&[], &["acme/app"]).as_deref(), Some("acme/app"));
    }
}
