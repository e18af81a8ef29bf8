//! Keys, and how they are read and written as text.

use age::secrecy::ExposeSecret;
use age::x25519;
use multiclaude_hybrid_protocol::metadata::Metadata;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The metadata key under which an agent publishes its [`Recipient`].
pub const AGE_RECIPIENT: &str = "age_recipient";

/// Why a text is not a key. The error does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not an identity.
    #[error("that is not an age identity, which looks like AGE-SECRET-KEY-1… ({0})")]
    Identity(&'static str),
    /// It is not a recipient.
    #[error("that is not an age recipient, which looks like age1… ({0})")]
    Recipient(&'static str),
}

/// A private key: opens messages sealed for its [`Recipient`]. `Debug` hides it.
#[derive(Clone)]
pub struct Identity(pub(super) x25519::Identity);

impl Identity {
    /// Generates a new one from the system's randomness.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads `AGE-SECRET-KEY-1…`, with white space around it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        text.trim().parse().map(Self).map_err(KeyError::Identity)
    }

    /// `AGE-SECRET-KEY-1…`, to be stored where only its owner can read it.
    pub fn reveal(&self) -> String {
        self.0.to_string().expose_secret().to_owned()
    }

    /// The public half of this key.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient())
    }
}

/// A public key: seals for the owner of its [`Identity`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient(pub(super) x25519::Recipient);

impl Recipient {
    /// Reads `age1…`, with white space around it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        text.trim().parse().map(Self).map_err(KeyError::Recipient)
    }

    /// The recipient that an agent publishes in its metadata, if it does.
    ///
    /// # Errors
    /// The published text is not a recipient.
    pub fn published(metadata: &Metadata) -> Result<Option<Self>, KeyError> {
        let text = metadata.get(AGE_RECIPIENT).filter(|text| !text.is_empty());
        text.map(|text| Self::parse(text)).transpose()
    }

    /// Publishes it in an agent's metadata.
    pub fn publish(&self, metadata: &mut Metadata) {
        metadata.insert(AGE_RECIPIENT.to_owned(), self.to_string());
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Recipient {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_read_from_its_own_text() {
        let identity = Identity::generate();
        let text = identity.reveal();
        assert!(text.starts_with("AGE-SECRET-KEY-1"));
        let read = Identity::parse(&format!("{text}\n")).unwrap();
        assert_eq!(read.recipient(), identity.recipient());
        let recipient = identity.recipient().to_string();
        assert!(recipient.starts_with("age1"));
        assert_eq!(Recipient::parse(&recipient), Ok(identity.recipient()));
        assert!(Recipient::parse(&text).is_err() && Identity::parse(&recipient).is_err());
    }

    #[test]
    fn only_reveal_shows_an_identity() {
        let identity = Identity::generate();
        let secret = identity.reveal();
        let half = &secret[..40];
        assert!(!format!("{identity:?}").to_uppercase().contains(half));
        let wrong = Identity::parse(&secret[..70]).unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains(half));
    }

    #[test]
    fn an_agent_publishes_its_recipient_in_its_metadata() {
        let mut metadata = Metadata::new();
        assert_eq!(Recipient::published(&metadata), Ok(None));
        let recipient = Identity::generate().recipient();
        recipient.publish(&mut metadata);
        assert_eq!(metadata["age_recipient"], recipient.to_string());
        assert_eq!(Recipient::published(&metadata), Ok(Some(recipient)));
        metadata.insert(AGE_RECIPIENT.to_owned(), "age1nonsense".to_owned());
        assert!(Recipient::published(&metadata).is_err());
    }

    proptest! {
        #[test]
        fn reading_any_text_as_a_key_never_panics(text in "\\PC*|age1[a-z0-9]{0,70}|AGE-SECRET-KEY-1[A-Z0-9]{0,70}") {
            let _ = (Identity::parse(&text).is_ok(), Recipient::parse(&text));
        }
    }
}
