//! The decisions of the coordinator.
//!
//! Values in, values out: nothing here knows a clock, a network, a database or a runtime.
//! `now` is an argument, in milliseconds since the epoch, and so is every random number.
//! Decisions are returned as data ([`mailbox::Write`], [`registry::Decision`]) that the
//! coordinator executes.
//!
//! | module | decides |
//! |---|---|
//! | [`access`] | what the holder of a token may do |
//! | [`registry`] | who holds a name; generations and revisions |
//! | [`presence`] | whether an agent counts as stopped |
//! | [`endpoint`] | which URLs may be pushed to |
//! | [`outcome`] | what an endpoint's answer means |
//! | [`retry`] | when to try again |
//! | [`lease`] | who holds a request for a worker |
//! | [`mailbox`] | order, dedup, transitions, expiry, incarnations, notices |
//! | [`seal`] | secrets at rest |
//! | [`secrets`] | rotation of webhook secrets |
//! | [`timing`] | every duration, in one place |

pub mod access;
pub mod endpoint;
pub mod lease;
pub mod mailbox;
pub mod outcome;
pub mod presence;
pub mod registry;
pub mod retry;
pub mod seal;
pub mod secrets;
pub mod timing;

/// Milliseconds since the epoch, or between two moments.
pub type Ms = i64;
