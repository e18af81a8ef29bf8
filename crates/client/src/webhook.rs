//! Verifies and reads pushes, for programs that receive them.
//!
//! It uses the signatures of `multiclaude-hybrid-protocol`, with which the coordinator
//! verifies callbacks, and not the published `standardwebhooks` crate (1.0.1). That
//! crate takes one secret where a rotation has two, has a fixed tolerance and clock, and
//! depends on a second base64, a second HMAC and `time`. The end-to-end tests verify the
//! coordinator's pushes with it.

use multiclaude_hybrid_protocol::message::Message;
use multiclaude_hybrid_protocol::push::{PushKind, TestedAgent};
use multiclaude_hybrid_protocol::spawn::SpawnRequest;
use multiclaude_hybrid_protocol::webhook::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret, TOLERANCE_SECS, verify,
};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Verifies pushes (Standard Webhooks) under one or several secrets.
///
/// A push may come twice, under the same [`Push::id`]: remember the ids for as long as
/// a second one would do harm.
///
/// ```
/// use multiclaude_hybrid_client::webhook::{Payload, Webhook};
/// # use multiclaude_hybrid_client::protocol::webhook::Secret;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The secret in the answer to the registration; during a rotation, both secrets.
/// let webhook = Webhook::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
///
/// // In a handler: the request's `http::HeaderMap`, and its body as it came.
/// # let body = r#"{"type":"endpoint.test","timestamp":"","data":{"repo":"acme/app","agent":"queue"}}"#;
/// # let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() as i64;
/// # let mut headers = reqwest::header::HeaderMap::new();
/// # let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// # headers.insert("webhook-id", "test_1".parse()?);
/// # headers.insert("webhook-timestamp", now.to_string().parse()?);
/// # headers.insert("webhook-signature", secret.sign("test_1", now, body).parse()?);
/// match webhook.verify(&headers, body.as_bytes())?.payload {
///     Payload::Message(message) => println!("{}: {}", message.from, message.body),
///     Payload::Test(tested) => println!("{} can be reached", tested.agent),
///     _ => {}
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Webhook {
    secrets: Vec<Secret>,
    tolerance: Duration,
}

/// A push with a valid signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// The id, which is the same on every attempt: for a message, the message's.
    pub id: String,
    /// When this attempt was signed, in seconds since the epoch.
    pub timestamp_secs: i64,
    /// The content.
    pub payload: Payload,
}

/// The content of a push.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// `message.created`: answer 2xx when it is stored safely.
    Message(Box<Message>),
    /// `endpoint.test`: answer 2xx.
    Test(TestedAgent),
    /// `worker.spawn_requested`, under the repo's secret.
    SpawnRequested(Box<SpawnRequest>),
    /// A type that this version does not know: answer 2xx.
    Unknown {
        /// The `type` of the push.
        kind: String,
        /// The `data` of the push.
        data: Value,
    },
}

/// Why a push was refused, or could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// No secret was given.
    #[error("there is no secret to verify webhooks with")]
    NoSecret,
    /// A secret is malformed.
    #[error("the webhook secret {0}")]
    Secret(&'static str),
    /// A header that every push has is missing.
    #[error("the header {0} is missing: this is not a webhook, or a proxy has removed it")]
    Missing(&'static str),
    /// A header appears twice, or has a malformed value.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// It was signed too long ago, or in the future.
    #[error(
        "its timestamp differs from now by {0} s, which is outside the tolerance: it is an old push \
         sent again, or one of the clocks is wrong"
    )]
    Timestamp(i64),
    /// It was signed under another secret, or changed afterwards.
    #[error(
        "no signature matches: it was signed under another secret, or its id, its timestamp or \
         its body was changed (verify the body exactly as it was received, byte by byte)"
    )]
    Signature,
    /// The signature is valid, and the body cannot be read.
    #[error("the body of this {kind} cannot be read: {reason}")]
    Payload {
        /// The `type` of the push.
        kind: String,
        /// The fault.
        reason: String,
    },
}

/// An envelope as it is read: of a kind that is not known, there may be no data.
#[derive(Deserialize)]
struct Body {
    r#type: String,
    #[serde(default)]
    data: Value,
}

impl Webhook {
    /// Accepts pushes signed under any of these secrets, `whsec_…`.
    ///
    /// # Errors
    /// One of them is malformed, or there is none.
    pub fn new<T: AsRef<str>>(secrets: impl IntoIterator<Item = T>) -> Result<Self, WebhookError> {
        let secrets = secrets
            .into_iter()
            .map(|secret| Secret::parse(secret.as_ref().trim()).map_err(WebhookError::Secret))
            .collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() {
            return Err(WebhookError::NoSecret);
        }
        Ok(Self { secrets, tolerance: Duration::from_secs(TOLERANCE_SECS.unsigned_abs()) })
    }

    /// Sets how far a timestamp may be off; 5 minutes unless set.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Verifies a push that has just arrived. Answer 401 if it is refused: the
    /// coordinator tries again.
    ///
    /// # Errors
    /// It is not a valid push of the coordinator's, or cannot be read.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Push, WebhookError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.verify_at(headers, body, now.map_or(0, |now| now.as_secs() as i64))
    }

    /// Verifies a push that arrived at `now_secs`.
    ///
    /// # Errors
    /// As [`Webhook::verify`].
    pub fn verify_at(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now_secs: i64,
    ) -> Result<Push, WebhookError> {
        let id = header(headers, HEADER_ID)?;
        let timestamp = header(headers, HEADER_TIMESTAMP)?;
        let signatures = header(headers, HEADER_SIGNATURE)?;
        let canonical = |secs: &i64| secs.to_string() == timestamp;
        let timestamp_secs = timestamp
            .parse()
            .ok()
            .filter(canonical)
            .ok_or(WebhookError::Malformed(HEADER_TIMESTAMP))?;
        // Only text is ever signed.
        let body = std::str::from_utf8(body).map_err(|_| WebhookError::Signature)?;
        // The tolerance is checked below, so `verify` compares the time with itself.
        verify(&self.secrets, id, timestamp_secs, body, signatures, timestamp_secs)
            .map_err(|_| WebhookError::Signature)?;
        if now_secs.abs_diff(timestamp_secs) > self.tolerance.as_secs() {
            let off = now_secs.saturating_sub(timestamp_secs);
            return Err(WebhookError::Timestamp(off));
        }
        Ok(Push { id: id.to_owned(), timestamp_secs, payload: read(body)? })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, WebhookError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(WebhookError::Missing(name))?;
    let text = value.to_str().ok().filter(|text| !text.is_empty());
    text.filter(|_| values.next().is_none()).ok_or(WebhookError::Malformed(name))
}

fn read(body: &str) -> Result<Payload, WebhookError> {
    let Body { r#type: kind, data } =
        serde_json::from_str(body).map_err(|error| unreadable("webhook", &error))?;
    Ok(match PushKind::parse(&kind) {
        Ok(PushKind::MessageCreated) => Payload::Message(typed(&kind, data)?),
        Ok(PushKind::SpawnRequested) => Payload::SpawnRequested(typed(&kind, data)?),
        Ok(PushKind::EndpointTest) => Payload::Test(typed(&kind, data)?),
        Err(_) => Payload::Unknown { kind, data },
    })
}

fn typed<T: DeserializeOwned>(kind: &str, data: Value) -> Result<T, WebhookError> {
    serde_json::from_value(data).map_err(|error| unreadable(kind, &error))
}

fn unreadable(kind: &str, error: &serde_json::Error) -> WebhookError {
    WebhookError::Payload { kind: kind.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
