//! The message in transit: pushed or offered, and not answered yet.

use crate::Ms;
use crate::registry::Version;
use serde::{Deserialize, Serialize};

/// A push that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The message.
    pub seq: u64,
    /// Which attempt at this message it is, from 1.
    pub attempt: u32,
    /// The configuration it goes out under.
    pub version: Version,
    pub(super) number: u64,
}

/// A message that was sent over the stream and is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The message.
    pub seq: u64,
    /// When it is offered again.
    pub until: Ms,
    /// How often it was offered, this time included.
    pub tries: u32,
}

/// A client's open stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) offer: Option<Offer>,
}
