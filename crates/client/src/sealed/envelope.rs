//! The envelope that a message's text is sealed in.

use super::keys::{Identity, Recipient};
use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor};
use multiclaude_hybrid_protocol::message::{BODY_MAX, Message, NewMessage, Sender};
use multiclaude_hybrid_protocol::{AgentName, MessageId, Repo};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// The metadata key that marks a sealed message.
pub const ENCRYPTED: &str = "encrypted";
/// The value of [`ENCRYPTED`].
pub const SCHEME: &str = "age";
/// How an armored age file begins.
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
/// The envelope's version.
const VERSION: u32 = 1;

/// The most bytes that an age file adds to its content: the header for one recipient
/// with a stanza of random length (359 at the time of writing), a nonce of 16, and 16
/// for the single chunk.
const AGE_MAX: usize = 512 + 16 + 16;
const LINE_END: usize = if cfg!(windows) { 2 } else { 1 };
const ARMOR: usize = BEGIN.len() + "-----END AGE ENCRYPTED FILE-----".len() + 2 * LINE_END;
/// The most bytes of an envelope that certainly fits into a body of 64 KiB: an armored
/// line has 64 characters for 48 bytes.
pub const ENVELOPE_MAX: usize = (BODY_MAX - ARMOR) / (64 + LINE_END) * 48 - AGE_MAX;

/// The sealed content: the text, and the message that it belongs to.
#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u32,
    repo: Repo,
    from: Sender,
    to: AgentName,
    thread_id: Option<String>,
    reply_to: Option<MessageId>,
    body: String,
}

/// The part that envelopes of all versions have.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Why a message was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The encrypted text would not fit into a message's 64 KiB.
    #[error(
        "the text has {size} bytes, of which the first {most} can be sent encrypted in one message: send it in parts, or a link to it"
    )]
    TooLarge {
        /// Bytes of the text.
        size: usize,
        /// Bytes from its beginning that fit. It depends on the text: line breaks and
        /// quotes count twice, other control characters six times.
        most: usize,
    },
    /// The message has the mark [`ENCRYPTED`] already.
    #[error("the message is encrypted already")]
    Sealed,
    /// The age library failed.
    #[error("the message could not be encrypted: {0}")]
    Failed(String),
}

/// Why a message was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no identity to open it with.
    #[error(
        "the message is encrypted, and this side has no age identity: restore it, or publish a new recipient and ask the sender to send again"
    )]
    NoKey,
    /// The message was sealed for another key.
    #[error(
        "the message was encrypted for another key than this side has: restore the old identity, or ask the sender to trust the recipient that is published now and to send again"
    )]
    WrongKey,
    /// The body is marked as an age file and is not one, or is damaged.
    #[error("the encrypted text is damaged or not an age file: ask the sender to send again")]
    Garbled,
    /// The mark is not [`SCHEME`].
    #[error(
        "the message is encrypted by a scheme that this version does not know: update multiclaude-hybrid"
    )]
    Scheme,
    /// The envelope is of another version.
    #[error(
        "the message has an envelope of version {0}, which this version does not know: update multiclaude-hybrid"
    )]
    Version(u32),
    /// The envelope belongs to another message.
    #[error(
        "the encrypted text was written for another message (its {field} differs): it was moved or changed on the way, so do not trust it; ask the sender over another channel"
    )]
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
}

/// Seals a message of `repo` for `recipient`: its body becomes an ASCII-armored
/// age file, and its metadata says so.
///
/// # Errors
/// It is too large, or sealed already.
pub fn seal(
    message: &NewMessage,
    repo: &Repo,
    recipient: &Recipient,
) -> Result<NewMessage, SealError> {
    if message.metadata.contains_key(ENCRYPTED) {
        return Err(SealError::Sealed);
    }
    let failed = |error: &dyn std::fmt::Display| SealError::Failed(error.to_string());
    let envelope = serde_json::to_vec(&Envelope {
        version: VERSION,
        repo: repo.clone(),
        from: message.from.clone(),
        to: message.to.clone(),
        thread_id: message.thread_id.clone(),
        reply_to: message.reply_to.clone(),
        body: message.body.clone(),
    });
    let envelope = envelope.map_err(|error| failed(&error))?;
    if envelope.len() > ENVELOPE_MAX {
        let around = envelope.len() - escaped(&message.body);
        return Err(SealError::TooLarge {
            size: message.body.len(),
            most: fitting(&message.body, ENVELOPE_MAX.saturating_sub(around)),
        });
    }
    let body = age::encrypt_and_armor(&recipient.0, &envelope).map_err(|error| failed(&error))?;
    let mut sealed = NewMessage { body, ..message.clone() };
    sealed.metadata.insert(ENCRYPTED.to_owned(), SCHEME.to_owned());
    Ok(sealed)
}

/// Bytes of a character inside a JSON text (RFC 8259, section 7, as `serde_json`
/// writes it).
fn escaped_char(char: char) -> usize {
    match char {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

fn escaped(text: &str) -> usize {
    text.chars().map(escaped_char).sum()
}

/// Bytes of the longest beginning of `text` that takes at most `room` in JSON.
fn fitting(text: &str, room: usize) -> usize {
    let mut taken = 0;
    let too_much = text.char_indices().find(|(_, char)| {
        taken += escaped_char(*char);
        taken > room
    });
    too_much.map_or(text.len(), |(at, _)| at)
}

/// Is it sealed? A ciphertext whose mark was removed counts, too.
pub fn is_sealed(message: &Message) -> bool {
    message.metadata.contains_key(ENCRYPTED) || message.body.starts_with(BEGIN)
}

/// Opens a message with one of `identities`: its text, without the mark. A message that is not
/// sealed ([`is_sealed`]) is returned unchanged.
///
/// # Errors
/// It is sealed for none of these keys, or for another message.
pub fn open(message: &Message, identities: &[Identity]) -> Result<Message, OpenError> {
    if !is_sealed(message) {
        return Ok(message.clone());
    }
    match message.metadata.get(ENCRYPTED).map(String::as_str) {
        Some(scheme) if scheme != SCHEME => return Err(OpenError::Scheme),
        _ if identities.is_empty() => return Err(OpenError::NoKey),
        _ => {}
    }
    let plain = decrypt(&message.body, identities)?;
    let read = serde_json::from_slice::<Version>(&plain).map_err(|_| OpenError::Garbled)?;
    if read.version != VERSION {
        return Err(OpenError::Version(read.version));
    }
    let envelope: Envelope = serde_json::from_slice(&plain).map_err(|_| OpenError::Garbled)?;
    for (field, same) in [
        ("repo", envelope.repo == message.repo),
        ("from", envelope.from == message.from),
        ("to", envelope.to == message.to),
        ("thread_id", envelope.thread_id == message.thread_id),
        ("reply_to", envelope.reply_to == message.reply_to),
    ] {
        if !same {
            return Err(OpenError::Mismatch { field });
        }
    }
    let mut message = message.clone();
    message.body = envelope.body;
    message.metadata.remove(ENCRYPTED);
    Ok(message)
}

fn decrypt(armored: &str, identities: &[Identity]) -> Result<Vec<u8>, OpenError> {
    let keys = identities.iter().map(|key| &key.0 as &dyn age::Identity);
    let reader = Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes()))
        .and_then(|file| file.decrypt(keys));
    let mut reader = reader.map_err(|error| match error {
        DecryptError::NoMatchingKeys => OpenError::WrongKey,
        _ => OpenError::Garbled,
    })?;
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).map_err(|_| OpenError::Garbled)?;
    Ok(plain)
}

#[cfg(test)]
mod tests;
