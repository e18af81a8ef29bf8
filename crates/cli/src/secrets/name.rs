//! The names of secrets.

/// The name of a secret. A token's name has its coordinator, too: a coordinator chooses its
/// tokens' ids, and must not reach another one's, or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub(super) String);

impl Name {
    /// The token `id` of the coordinator at `url`.
    pub fn token(url: &str, id: &str) -> Self {
        Self(format!("token {url} {id}"))
    }

    /// The secret half of an encryption key, by its public one.
    pub fn key(recipient: &str) -> Self {
        Self(format!("key {recipient}"))
    }
}
