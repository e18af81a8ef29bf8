//! Names of agents, owners and repositories.
//!
//! A value of one of these types was checked when it was made; no later code checks again.

use crate::text_form::text_form;
use serde_with::{DeserializeFromStr, SerializeDisplay};
use std::fmt;

/// Why a name was refused. The text follows "the agent name".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More characters than allowed.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error("may hold only {0}")]
    Charset(&'static str),
    /// `system`, `user`, `.` or `..`.
    #[error("is reserved")]
    Reserved,
    /// A repository without exactly one slash.
    #[error("must have the form owner/repo")]
    Form,
}

/// Checks a name of letters, digits and `signs`; `signs_first`: it may begin with a sign.
fn check(
    text: &str,
    max: usize,
    signs: &str,
    signs_first: bool,
    charset: &'static str,
) -> Result<(), NameError> {
    let Some(first) = text.bytes().next() else {
        return Err(NameError::Empty);
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || signs.as_bytes().contains(&byte);
    if text.len() > max {
        return Err(NameError::TooLong(max));
    }
    if !text.bytes().all(allowed) || !(signs_first || first.is_ascii_alphanumeric()) {
        return Err(NameError::Charset(charset));
    }
    Ok(())
}

/// An agent's name: 1–64 of `[A-Za-z0-9_-]`, the first a letter or digit.
///
/// No dot, because a message id ends with it and ids are signed as
/// `id.timestamp.body`. `system` and `user` are reserved in any case.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct AgentName(String);

impl AgentName {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let charset = "A-Z, a-z, 0-9, _ and -, and must start with a letter or digit";
        check(text, 64, "_-", false, charset)?;
        if ["system", "user"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The owner of a token and of agents: `[a-z0-9-]{1,39}`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct Owner(String);

impl Owner {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let charset = "a-z, 0-9 and -";
        check(text, 39, "-", true, charset)?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NameError::Charset(charset));
        }
        if text == "system" {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A repository, `owner/repo` in lower case: GitHub compares both without
/// regard to case, and so does the coordinator.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct Repo(String);

impl Repo {
    /// Checks `owner/repo`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (owner, repo) = text.split_once('/').ok_or(NameError::Form)?;
        check_account(owner)?;
        check(repo, 100, "._-", true, "A-Z, a-z, 0-9, ., _ and -")?;
        if repo == "." || repo == ".." {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The part before the slash.
    pub fn account(&self) -> &str {
        self.0.split_once('/').map_or("", |(account, _)| account)
    }
}

/// Checks the owner part of a repository, as GitHub allows it.
pub(crate) fn check_account(text: &str) -> Result<(), NameError> {
    let charset = "A-Z, a-z, 0-9, - and _, and must start with a letter or digit";
    check(text, 39, "-_", false, charset)
}

macro_rules! text_type {
    ($($name:ident),*) => {$(
        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    )*};
}
text_type!(AgentName, Owner, Repo);

text_form! {
    AgentName: |text| Self::parse(text).map_err(|error| format!("the agent name {error}"));
    Owner: |text| Self::parse(text).map_err(|error| format!("the owner {error}"));
    Repo: |text| Self::parse(text).map_err(|error| error.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_agent_name_has_no_dot_and_no_leading_dash() {
        assert!(AgentName::parse("merge-queue_2").is_ok());
        assert!(AgentName::parse("9lives").is_ok());
        for bad in ["a.b", "-a", "_a", "a b", "ä", "a/b", "a\n"] {
            assert!(matches!(AgentName::parse(bad), Err(NameError::Charset(_))), "{bad:?}");
        }
        assert_eq!(AgentName::parse(""), Err(NameError::Empty));
        assert!(AgentName::parse(&"a".repeat(64)).is_ok());
        assert_eq!(AgentName::parse(&"a".repeat(65)), Err(NameError::TooLong(64)));
    }

    #[test]
    fn system_and_user_are_reserved_in_any_case() {
        for word in ["system", "System", "USER", "user"] {
            assert_eq!(AgentName::parse(word), Err(NameError::Reserved));
        }
        assert!(AgentName::parse("system-1").is_ok());
    }

    #[test]
    fn a_repo_is_compared_without_regard_to_case() {
        assert_eq!(Repo::parse("Acme/App.rs"), Repo::parse("acme/aPP.RS"));
        assert_eq!(Repo::parse("Acme/App").unwrap().account(), "acme");
    }

    #[test]
    fn a_repo_of_dots_or_with_a_second_slash_is_refused() {
        for bad in ["a/.", "a/..", "../b", "a/b/c", "a", "a/", "/b", "a/b c", "a/%2f"] {
            assert!(Repo::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_owner_is_lower_case_and_not_system() {
        for good in ["dan", "9", "-", &"a".repeat(39)] {
            assert!(Owner::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "Dan", "a_b", "a.b", "a b", "ä", "system", &"a".repeat(40)] {
            assert!(Owner::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_agent_name_is_any_text_of_its_alphabet_and_no_other_character(
            name in "[A-Za-z0-9][A-Za-z0-9_-]{0,62}", other in "[\\x00-\\x7f--[A-Za-z0-9_-]]", at in 0..64_usize
        ) {
            prop_assume!(!["system", "user"].contains(&name.to_lowercase().as_str()));
            prop_assert_eq!(AgentName::parse(&name).unwrap().0, name.as_str());
            let (before, after) = name.split_at(at.min(name.len()));
            let spoilt = format!("{before}{other}{after}");
            prop_assert!(AgentName::parse(&spoilt).is_err(), "{}", spoilt);
        }

        #[test]
        fn a_repo_is_shown_in_lower_case_and_read_back_from_that(
            repo in "[a-z0-9][a-z0-9-]{0,10}/[a-z0-9_-][a-z0-9._-]{0,20}", upper in "[01]{33}"
        ) {
            let mixed: String = repo.chars().zip(upper.chars().cycle())
                .map(|(letter, upper)| if upper == '1' { letter.to_ascii_uppercase() } else { letter })
                .collect();
            prop_assert_eq!(Repo::parse(&mixed).unwrap().0, repo);
        }
    }
}
