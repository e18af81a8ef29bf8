//! Sealed messages by their idempotency keys.
//!
//! A text is never sealed twice to the same bytes, and the coordinator takes one
//! content under one key. So a sealed message is kept for as long as the coordinator
//! remembers its key, and is sent again as it was.

use crate::failure::{Exit, Failure, Outcome};
use crate::files::{read, write_json};
use crate::output::now;
use crate::session::{InRepo, Session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use multiclaude_hybrid_client::protocol::message::NewMessage;
use multiclaude_hybrid_client::sealed::{ENCRYPTED, SCHEME};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const KEPT_MS: i64 = 8 * 86_400_000;

#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    at: i64,
    /// The SHA-256 of the message before it was sealed.
    plain: String,
    body: String,
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    STANDARD.encode(hash.finalize())
}

/// `message`, sealed by `seal`; or the sealed message that left under `key` before.
pub(super) fn sealed(
    session: &Session,
    at: &InRepo,
    key: Option<&str>,
    message: &NewMessage,
    seal: impl FnOnce() -> Outcome<NewMessage>,
) -> Outcome<NewMessage> {
    let Some(key) = key else {
        return seal();
    };
    let text = serde_json::to_string(message);
    let plain = digest(&[&text.map_err(|_| Failure::new("the message has no JSON form"))?]);
    let (from, owner) = (message.from.to_string(), at.login.owner.as_str());
    let name = digest(&[&at.login.url, at.repo.as_str(), owner, &from, message.to.as_str(), key]);
    let path = session.home.sent();
    let _lock = session.home.lock()?;
    // A damaged file is no worse than none.
    let mut all: BTreeMap<String, Sent> =
        serde_json::from_slice(&read(&path)?.unwrap_or_default()).unwrap_or_default();
    let now = now().0;
    all.retain(|_, sent| now - sent.at < KEPT_MS);
    if let Some(sent) = all.get(&name) {
        if sent.plain != plain {
            return Err(Failure::new(format!("another message left under the key {key:?}"))
                .exit(Exit::Conflict)
                .hint("choose a new --key"));
        }
        let mut again = message.clone();
        again.body.clone_from(&sent.body);
        again.metadata.insert(ENCRYPTED.to_owned(), SCHEME.to_owned());
        return Ok(again);
    }
    let sealed = seal()?;
    let body = sealed.body.clone();
    all.insert(name, Sent { at: now, plain, body });
    write_json(&path, &all)?;
    Ok(sealed)
}
