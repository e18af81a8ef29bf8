//! Async client of the Coordination API.
//!
//! | module | contents |
//! |---|---|
//! | [`BaseUrl`] | the URL of a coordinator, and where plain http is allowed |
//! | [`Client`], [`RepoClient`] | one method per endpoint, typed with `multiclaude-hybrid-protocol` |
//! | [`Call`], [`Reply`] | any other call |
//! | [`Retries`], [`Repeat`] | which calls are repeated, and when |
//! | [`Error`], [`Cause`] | errors, for programs and for people |
//! | [`Stream`] | one open WebSocket |
//! | [`Inbox`], [`ReceivedMessage`] | an agent's messages, each once, through outages and restarts |
//! | [`webhook`] | verifies and reads pushes |
//! | [`sealed`] | end-to-end encryption of messages, and which keys are trusted |
//!
//! *In scope:* connections, timeouts, safe repeats, errors that a caller can match, and
//! helpers for receivers of messages. *Out of scope:* the storage of tokens, identities and
//! pins, and the handling of messages.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use multiclaude_hybrid_client::Client;
//! use multiclaude_hybrid_client::protocol::message::{NewMessage, Sender};
//! use multiclaude_hybrid_client::protocol::{AgentName, Repo, agent::Registration};
//!
//! let client = Client::new("http://127.0.0.1:8787/v1", "mcu_…")?;
//! let repo = client.repo(&Repo::parse("acme/app")?);
//! let (ws, queue) = (AgentName::parse("ws")?, AgentName::parse("queue")?);
//! repo.register(&Registration::new(ws.clone(), "workspace")).await?;
//! let sent = repo.send(&NewMessage::new(Sender::Agent(ws), queue, "hi"), None).await?;
//! println!("{} is {}", sent.id, sent.status.as_str());
//! # Ok(())
//! # }
//! ```

mod api;
mod base;
mod cause;
mod error;
mod inbox;
mod retry;
pub mod sealed;
mod stream;
mod transport;
pub mod webhook;

pub use api::{AgentFilter, MessageFilter, Page, RepoClient, Versioned};
pub use base::{BaseUrl, BaseUrlError, DEFAULT_URL, URL_VARIABLE};
pub use cause::Cause;
pub use error::Error;
pub use inbox::{Connection, Inbox, InboxOptions, OnChange, ReceivedMessage};
pub use multiclaude_hybrid_protocol as protocol;
pub use reqwest::Method;
pub use retry::{Repeat, Retries};
pub use stream::{Event, Stream};
pub use transport::{Call, Client, Reply};
