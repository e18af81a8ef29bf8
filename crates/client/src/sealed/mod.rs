//! End-to-end encryption of messages, with [age](https://age-encryption.org/v1).
//!
//! | file | what is in it |
//! |---|---|
//! | `keys` | [`Identity`] and [`Recipient`], and where a recipient is published |
//! | `envelope` | [`seal`], [`open`], [`is_sealed`] |
//! | `pins` | [`Pins`]: which keys are trusted; [`decide`]: encrypt, refuse or warn |
//!
//! *It protects* the text of a message from everybody between the two ends: the
//! operators of the coordinator, readers of its database, backups or logs, holders of
//! other tokens of the repo. A sealed text is bound to its repo, sender, recipient,
//! thread and the message that it answers, so it cannot be presented in another place,
//! or under another sender's name.
//!
//! *It does not protect* the identity of the sender: everybody who knows the recipient
//! can seal under any name, so the sender is only as certain as the coordinator is
//! honest. Nor does it hide sizes, times, names or metadata, or prevent that a message is
//! withheld or shown twice. A dishonest coordinator can replace a key when it is seen for
//! the first time; [`Pins`] detect any later change.
//!
//! Sealing a text twice gives two different results. To send a message again under its
//! idempotency key, seal it once and keep the result.
//!
//! ```
//! use multiclaude_hybrid_client::protocol::config::Encrypt;
//! use multiclaude_hybrid_client::protocol::message::{NewMessage, Sender};
//! use multiclaude_hybrid_client::protocol::{AgentName, Repo, metadata::Metadata};
//! use multiclaude_hybrid_client::sealed::{Action, Identity, Pins, Recipient, decide, seal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The recipient's side, once: the identity is kept, the recipient is published.
//! let identity = Identity::generate();
//! let mut metadata = Metadata::new();
//! identity.recipient().publish(&mut metadata);
//!
//! // The sender's side, for each message.
//! let (repo, queue) = (Repo::parse("acme/app")?, AgentName::parse("queue")?);
//! let mut pins = Pins::default();
//! let published = Recipient::published(&metadata)?;
//! let decision = decide(Some(Encrypt::Always), &pins.check(&repo, &queue, published.as_ref()));
//! if let Some(first) = decision.pin {
//!     pins.trust(&repo, &queue, first);
//! }
//! let from = Sender::Agent(AgentName::parse("ws")?);
//! let mut message = NewMessage::new(from, queue, "meet me at noon");
//! match decision.action {
//!     Action::Encrypt(recipient) => message = seal(&message, &repo, &recipient)?,
//!     Action::Plain => {}
//!     Action::Refuse(why) => return Err(why.into()),
//! }
//! assert!(!message.body.contains("noon"));
//! # Ok(())
//! # }
//! ```

mod envelope;
mod keys;
mod pins;

pub use envelope::{ENCRYPTED, ENVELOPE_MAX, OpenError, SCHEME, SealError, is_sealed, open, seal};
pub use keys::{AGE_RECIPIENT, Identity, KeyError, Recipient};
pub use pins::{Action, Decision, PinState, Pins, Refusal, Warning, decide};
