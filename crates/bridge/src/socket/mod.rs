//! The bridge's Unix socket, for agents' MCP servers.
//!
//! | file | what is in it |
//! |---|---|
//! | `wire` | the items that both ends send |
//! | `serve` | the bridge's end: connections, and the agent of each |
//! | `converse` | the bridge's end: calls of tools, and posts |
//! | `serving` | the interface to the rest of the bridge |
//! | `channels` | the channels of agents, by which the last hop hands messages over |
//! | `connect` | the MCP server's end |
//!
//! The bridge determines the agent of a process from the process tree, never from the
//! claims of the process.

mod channels;
mod connect;
mod converse;
mod serve;
mod serving;
mod wire;

pub use channels::{Channel, Channels, PostError, Posts};
pub use connect::{BridgeClient, Connected, Poster};
pub use converse::converse;
pub use serve::serve;
pub use serving::{Agent, Serving};
pub use wire::{FromAgent, ToAgent, read, write};
