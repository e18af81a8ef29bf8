//! Secrets at rest: ChaCha20-Poly1305 under the Worker secret `MASTER_KEY`.
//!
//! `MASTER_KEY` is `id:base64 of 32 bytes`, or several of them separated by
//! commas: the first one seals, all of them open. A sealed text is
//! `id.base64(nonce ‖ ciphertext)`. The associated data is the place of the secret
//! (mailbox, incarnation, field), so that a row moved elsewhere does not open.

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::fmt;

const NONCE_LEN: usize = 12;

/// Why a key ring or a sealed text could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text is not a key ring.
    #[error("must be <id>:<base64 of 32 bytes>, or several separated by commas")]
    KeyRing,
    /// The key that sealed it is not in the ring.
    #[error("it was sealed under the key {0}, which MASTER_KEY no longer holds")]
    UnknownKey(String),
    /// The text was changed or belongs elsewhere.
    #[error("it does not open: it was changed, or belongs elsewhere")]
    Broken,
}

/// The keys of `MASTER_KEY`, the sealing one first.
#[derive(Clone)]
pub struct KeyRing(Vec<(String, ChaCha20Poly1305)>);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

fn key(text: &str) -> Option<(String, ChaCha20Poly1305)> {
    let (id, key) = text.trim().split_once(':')?;
    let id_ok = (1..=16).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let bytes = STANDARD.decode(key).ok()?;
    let cipher = ChaCha20Poly1305::new_from_slice(&bytes).ok()?;
    id_ok.then(|| (id.to_owned(), cipher))
}

impl KeyRing {
    /// Reads the value of `MASTER_KEY`.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let keys: Option<Vec<_>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or(SealError::KeyRing)
    }

    /// Seals `secret` for `place` under the first key.
    pub fn seal(
        &self,
        secret: &[u8],
        place: &str,
        nonce: [u8; NONCE_LEN],
    ) -> Result<String, SealError> {
        let (id, cipher) = self.0.first().ok_or(SealError::KeyRing)?;
        let payload = Payload { msg: secret, aad: place.as_bytes() };
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::Broken)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(format!("{id}.{}", STANDARD.encode(bytes)))
    }

    /// Opens a text that was sealed for `place` under any key of the ring.
    pub fn open(&self, sealed: &str, place: &str) -> Result<Vec<u8>, SealError> {
        let (id, text) = sealed.split_once('.').ok_or(SealError::Broken)?;
        let key = self.0.iter().find(|(known, _)| known == id);
        let (_, cipher) = key.ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        let bytes = STANDARD.decode(text).map_err(|_| SealError::Broken)?;
        let (nonce, msg) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Broken)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| SealError::Broken)?;
        let payload = Payload { msg, aad: place.as_bytes() };
        cipher.decrypt(&nonce, payload).map_err(|_| SealError::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(ids: &[(&str, u8)]) -> KeyRing {
        let text: Vec<_> =
            ids.iter().map(|(id, byte)| format!("{id}:{}", STANDARD.encode([*byte; 32]))).collect();
        KeyRing::parse(&text.join(",")).unwrap()
    }

    #[test]
    fn a_key_ring_of_another_form_is_refused() {
        for bad in ["", "k1", "k1:", "k1:AAAA", ":AAAA", "k 1:AAAA"] {
            assert!(KeyRing::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_old_key_still_opens_beside_a_new_one_until_it_is_dropped() {
        let sealed = ring(&[("k1", 1)]).seal(b"secret", "here", [0; 12]).unwrap();
        assert_eq!(ring(&[("k2", 2), ("k1", 1)]).open(&sealed, "here").unwrap(), b"secret");
        let dropped = ring(&[("k2", 2)]).open(&sealed, "here");
        assert_eq!(dropped, Err(SealError::UnknownKey("k1".into())));
    }

    proptest! {
        #[test]
        fn a_secret_opens_only_unchanged_and_in_its_place(secret: Vec<u8>, nonce: [u8; 12], at: prop::sample::Index) {
            let ring = ring(&[("k1", 1)]);
            let sealed = ring.seal(&secret, "here", nonce).unwrap();
            prop_assert_eq!(ring.open(&sealed, "here").unwrap(), secret);
            prop_assert_eq!(ring.open(&sealed, "there"), Err(SealError::Broken));
            let mut bytes = STANDARD.decode(&sealed[3..]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
            prop_assert_eq!(ring.open(&format!("k1.{}", STANDARD.encode(bytes)), "here"), Err(SealError::Broken));
        }
    }
}
