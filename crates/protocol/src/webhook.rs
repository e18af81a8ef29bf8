//! [Standard Webhooks](https://www.standardwebhooks.com): secrets and
//! signatures.
//!
//! A push has the headers `webhook-id`, `webhook-timestamp` (seconds) and
//! `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of
//! `id.timestamp.body`, one for each valid secret, separated by spaces.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

const PREFIX: &str = "whsec_";

/// Header with the push's id, the same on every attempt.
pub const HEADER_ID: &str = "webhook-id";
/// Header with the attempt's time, in seconds since the epoch.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signatures.
pub const HEADER_SIGNATURE: &str = "webhook-signature";
/// How far a timestamp may be off, in seconds.
pub const TOLERANCE_SECS: i64 = 5 * 60;

/// A webhook secret: 24–64 bytes, `whsec_` and base64 as text. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new secret of 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random.to_vec())
    }

    /// Reads `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text.strip_prefix(PREFIX)
            .and_then(|key| STANDARD.decode(key).ok())
            .filter(|key| (24..=64).contains(&key.len()))
            .map(Self)
            .ok_or("must be whsec_ followed by the base64 of 24 to 64 bytes")
    }

    /// The secret's text, to be shown once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The key's bytes, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key that was sealed.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    fn digest(&self, id: &str, timestamp_secs: i64, body: &str) -> Vec<u8> {
        // An HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return Vec::new();
        };
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_secs.to_string().as_bytes());
        mac.update(b".");
        mac.update(body.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    /// One signature, `v1,…`.
    pub fn sign(&self, id: &str, timestamp_secs: i64, body: &str) -> String {
        format!("v1,{}", STANDARD.encode(self.digest(id, timestamp_secs, body)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The value of `webhook-signature` under all `secrets`.
pub fn sign_all(secrets: &[Secret], id: &str, timestamp_secs: i64, body: &str) -> String {
    let signatures: Vec<_> =
        secrets.iter().map(|secret| secret.sign(id, timestamp_secs, body)).collect();
    signatures.join(" ")
}

/// Why a webhook was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// More than five minutes old or ahead.
    #[error("the timestamp is more than five minutes off")]
    Timestamp,
    /// No signature under a known secret.
    #[error("no signature matches")]
    Signature,
}

/// Checks a received webhook against any of `secrets`, in constant time.
pub fn verify(
    secrets: &[Secret],
    id: &str,
    timestamp_secs: i64,
    body: &str,
    signatures: &str,
    now_secs: i64,
) -> Result<(), VerifyError> {
    if now_secs.abs_diff(timestamp_secs) > TOLERANCE_SECS.unsigned_abs() {
        return Err(VerifyError::Timestamp);
    }
    let given: Vec<_> = signatures
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    let matches = secrets.iter().any(|secret| {
        let wanted = secret.digest(id, timestamp_secs, body);
        !wanted.is_empty() && given.iter().any(|found| bool::from(found.ct_eq(&wanted)))
    });
    if matches { Ok(()) } else { Err(VerifyError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The vector that the Standard Webhooks libraries test against.
    #[test]
    fn the_published_vector_gives_the_published_signature() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        let of = |n: usize| Secret::parse(&format!("whsec_{}", STANDARD.encode(vec![1; n])));
        assert!(of(23).is_err() && of(24).is_ok() && of(64).is_ok() && of(65).is_err());
        assert!(Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
        assert_eq!(format!("{:?}", of(24).unwrap()), "Secret(…)");
    }

    proptest! {
        #[test]
        fn what_is_signed_is_verified_under_either_of_two_secrets(
            a: [u8; 32], b: [u8; 32], id in "[a-z_0-9]{1,40}", at in 0_i64..(1 << 40), body in "\\PC*", skew in -300_i64..=300
        ) {
            let secrets = [Secret::new(a), Secret::new(b)];
            let signatures = sign_all(&secrets, &id, at, &body);
            for secret in secrets {
                prop_assert_eq!(verify(&[secret], &id, at, &body, &signatures, at + skew), Ok(()));
            }
        }

        #[test]
        fn a_change_of_anything_is_noticed(key: [u8; 32], other: [u8; 32], at in 0_i64..(1 << 40), body in "\\PC*") {
            prop_assume!(key != other);
            let secret = [Secret::new(key)];
            let signature = secret[0].sign("msg_1", at, &body);
            let no = Err(VerifyError::Signature);
            prop_assert_eq!(verify(&secret, "msg_2", at, &body, &signature, at), no);
            prop_assert_eq!(verify(&secret, "msg_1", at + 1, &body, &signature, at), no);
            prop_assert_eq!(verify(&secret, "msg_1", at, &format!("{body}x"), &signature, at), no);
            prop_assert_eq!(verify(&[Secret::new(other)], "msg_1", at, &body, &signature, at), no);
            prop_assert_eq!(verify(&secret, "msg_1", at, &body, &signature, at + 301), Err(VerifyError::Timestamp));
        }
    }
}
