//! Bearer tokens: `<prefix><43 base62><6 base62>`.
//!
//! The prefix is the kind, the 43 digits are 32 random bytes, and the last six are the
//! CRC-32 of all before them: a typo or a leaked token is recognised without a lookup. The
//! coordinator stores only the SHA-256.

use crate::body::{Fields, body};
use crate::name::{NameError, Owner, Repo, check_account};
use crate::text_form::text_form;
use crate::wire_enum::wire_enum;
use crate::{Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use sha2::{Digest, Sha256};
use std::fmt;

/// Without a table, which would be 16 KB of wasm for 47 bytes per request.
const CRC32: crc::Crc<u32, crc::NoTable> =
    crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of a description.
const DESCRIPTION_MAX: usize = 200;
/// Entries of a token's scope.
const REPOS_MAX: usize = 100;
const SECRET_LEN: usize = 43;
const CHECK_LEN: usize = 6;
const PREFIX_LEN: usize = 4;

wire_enum!(
    /// The kind of a token; the first four characters of its text.
    TokenKind {
        /// Manages tokens and configuration. Sends and reads no messages.
        Admin = "admin",
        /// A developer's machine: acts for its owner's agents in the listed repos.
        User = "user",
        /// Shared infrastructure: acts for every agent in its scope.
        Service = "service",
    }
);

impl TokenKind {
    /// `mca_`, `mcu_` or `mcs_`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "mca_",
            Self::User => "mcu_",
            Self::Service => "mcs_",
        }
    }
}

/// A token's secret text. `Debug` shows only the kind.
#[derive(Clone)]
pub struct SecretToken {
    kind: TokenKind,
    text: String,
}

impl SecretToken {
    /// A new token from 32 random bytes.
    pub fn new(kind: TokenKind, random: [u8; 32]) -> Self {
        let mut text = String::with_capacity(PREFIX_LEN + SECRET_LEN + CHECK_LEN);
        text.push_str(kind.prefix());
        text.push_str(&base62(random, SECRET_LEN));
        let check = checksum(&text);
        text.push_str(&check);
        Self { kind, text }
    }

    /// Checks prefix, length, digits and checksum; `None` if one is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = [TokenKind::Admin, TokenKind::User, TokenKind::Service]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))?;
        let well_formed = text.len() == PREFIX_LEN + SECRET_LEN + CHECK_LEN
            && text.bytes().skip(PREFIX_LEN).all(|byte| byte.is_ascii_alphanumeric());
        let (body, check) = text.split_at_checked(PREFIX_LEN + SECRET_LEN)?;
        (well_formed && checksum(body) == check).then(|| Self { kind, text: text.to_owned() })
    }

    /// The kind.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The secret itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The SHA-256 of the text, which the coordinator stores.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretToken({}…)", self.kind.prefix())
    }
}

fn checksum(text: &str) -> String {
    base62(CRC32.checksum(text.as_bytes()).to_be_bytes(), CHECK_LEN)
}

/// `bytes` as one big-endian number in `len` base62 digits.
fn base62<const N: usize>(mut bytes: [u8; N], len: usize) -> String {
    let mut digits = Vec::with_capacity(len);
    for _ in 0..len {
        let mut remainder = 0_u32;
        for byte in &mut bytes {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        digits.push(DIGITS.get(remainder as usize).copied().unwrap_or(b'0'));
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

/// One entry of a token's scope: a repository, or (`owner/*`) all of an owner.
#[derive(Debug, Clone, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub enum Scope {
    /// Exactly this repository.
    Repo(Repo),
    /// Every repository of this account (lower case).
    Account(String),
}

impl Scope {
    /// Reads `owner/repo` or `owner/*`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.strip_suffix("/*") {
            Some(account) => {
                check_account(account)?;
                Ok(Self::Account(account.to_ascii_lowercase()))
            }
            None => Repo::parse(text).map(Self::Repo),
        }
    }

    /// Does it cover `repo`?
    pub fn covers(&self, repo: &Repo) -> bool {
        match self {
            Self::Repo(only) => only == repo,
            Self::Account(account) => account == repo.account(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repo(repo) => write!(f, "{repo}"),
            Self::Account(account) => write!(f, "{account}/*"),
        }
    }
}

text_form! {
    Scope: |text| Self::parse(text).map_err(|error| error.to_string());
}

/// A token as lists show it; `token` is there once, in the answer that made it.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Token {
    /// The token's id in lists, logs and `DELETE /v1/tokens/{id}`.
    pub id: TokenId,
    /// Its kind.
    pub kind: TokenKind,
    /// The principal it speaks for.
    pub owner: Owner,
    /// The repos and accounts that it covers; empty for an admin token.
    pub repos: Vec<Scope>,
    /// A note for people.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The id of the token it was made with, which may be revoked since;
    /// `tok_admin` for the secret `ADMIN_TOKEN`. Absent if that was not noted yet.
    pub created_by: Option<String>,
    /// When it ends; never, if absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The secret, shown once.
    pub token: Option<String>,
}

body! {
    /// A token to be made.
    pub struct NewToken {
        /// Its kind.
        pub kind: TokenKind = required(parsed()),
        /// Its owner.
        pub owner: Owner = required(parsed()),
        /// The repos and accounts that it covers; none for an admin token.
        pub repos: Vec<Scope> = with_default(Vec::new(), list(REPOS_MAX, parsed())),
        /// A note for people.
        pub description: Option<String> = optional(text().chars(0, DESCRIPTION_MAX)),
        /// When it ends, in the future; never, or with the service token that makes it, if
        /// absent.
        pub expires_at: Option<Timestamp> = optional(parsed()),
    }
    check = NewToken::check;
    also = scopes_by_kind;
}

impl NewToken {
    /// The scope that a token may have depends on its kind.
    fn check(self, fields: &mut Fields) -> Option<Self> {
        let covers_accounts = self.repos.iter().any(|scope| matches!(scope, Scope::Account(_)));
        let fault = match self.kind {
            TokenKind::Admin if self.repos.is_empty() => return Some(self),
            TokenKind::Admin => "must be empty: an admin token is not bound to repos",
            _ if self.repos.is_empty() => {
                "must name what the token covers, for example [\"acme/app\"]"
            }
            TokenKind::User if covers_accounts => {
                "of a user token must be repos, owner/repo; owner/* is for services"
            }
            TokenKind::User | TokenKind::Service => return Some(self),
        };
        fields.fault("repos", fault);
        None
    }
}

/// The same as a schema.
fn scopes_by_kind() -> serde_json::Value {
    let of = |kind: TokenKind, repos: serde_json::Value, required: &[&str]| {
        serde_json::json!({
            "description": format!("A token of kind `{}`.", kind.as_str()),
            "required": required,
            "properties": { "kind": { "const": kind }, "repos": repos },
        })
    };
    let repo = serde_json::json!({ "pattern": crate::schema::patterns::REPO });
    serde_json::json!({ "oneOf": [
        of(TokenKind::User, serde_json::json!({ "type": "array", "minItems": 1, "items": repo }), &["repos"]),
        of(TokenKind::Service, serde_json::json!({ "type": "array", "minItems": 1 }), &["repos"]),
        of(TokenKind::Admin, serde_json::json!({ "maxItems": 0 }), &[]),
    ] })
}

/// The answer of `GET /v1/whoami`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WhoAmI {
    /// The token's id; `tok_admin` for the secret `ADMIN_TOKEN`.
    pub token_id: String,
    /// The token's kind.
    pub kind: TokenKind,
    /// The principal it speaks for.
    pub owner: Owner,
    /// The repos and accounts that it covers; empty for an admin token.
    pub repos: Vec<Scope>,
    /// When it ends; never, if absent.
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debug_shows_no_secret() {
        let token = SecretToken::new(TokenKind::User, [7; 32]);
        assert_eq!(format!("{token:?}"), "SecretToken(mcu_…)");
    }

    #[test]
    fn an_account_scope_covers_all_its_repos_and_no_other() {
        let scope = Scope::parse("Acme/*").unwrap();
        assert!(scope.covers(&Repo::parse("acme/app").unwrap()));
        assert!(!scope.covers(&Repo::parse("acme2/app").unwrap()));
        assert_eq!(scope.to_string(), "acme/*");
        for bad in ["*", "*/*", "a/b*", "/*", "a//*"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_new_token_is_well_formed_and_keeps_its_hash(random: [u8; 32]) {
            for kind in [TokenKind::Admin, TokenKind::User, TokenKind::Service] {
                let token = SecretToken::new(kind, random);
                prop_assert_eq!(token.reveal().len(), 53);
                let read = SecretToken::parse(token.reveal()).unwrap();
                prop_assert_eq!((read.kind(), read.hash()), (kind, token.hash()));
            }
        }

        #[test]
        fn a_single_changed_character_is_noticed(random: [u8; 32], at in 0_usize..53, to in "[0-9A-Za-z]") {
            let good = SecretToken::new(TokenKind::Service, random).reveal().to_owned();
            let mut bad = good.clone();
            bad.replace_range(at..=at, &to);
            prop_assume!(bad != good);
            prop_assert!(SecretToken::parse(&bad).is_none());
        }

        #[test]
        fn different_bytes_give_different_tokens(a: [u8; 32], b: [u8; 32]) {
            prop_assume!(a != b);
            let text = |bytes| SecretToken::new(TokenKind::User, bytes).reveal().to_owned();
            prop_assert_ne!(text(a), text(b));
        }

        #[test]
        fn reading_any_text_as_a_token_never_panics(text in "(mcu_)?\\PC*") {
            let _ = SecretToken::parse(&text);
        }
    }
}
