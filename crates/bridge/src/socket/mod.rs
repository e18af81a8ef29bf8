//! The bridge's Unix socket, through which agents' MCP servers speak with it.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | what both ends send |
//! | `serve` | the bridge's end: who connects, and on behalf of which agent |
//! | `converse` | the bridge's end: calls of tools, and posts |
//! | `serving` | what it asks of the rest of the bridge |
//! | `channels` | the channels of agents, by which the last hop hands messages over |
//! | `connect` | the MCP server's end |
//!
//! A line of JSON each way per item. The bridge finds out by itself on behalf of
//! which agent a process speaks: from the process tree, never from what it says.

mod channels;
mod connect;
mod converse;
mod serve;
mod serving;

pub use channels::{Channel, Channels, PostError, Posts};
pub use connect::{Connected, Desk, Poster};
pub use converse::converse;
pub use serve::serve;
pub use serving::{Agent, Serving};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of a line at most: a message of 64 KiB, every byte of it escaped, and the
/// list of messages that it is in.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// What an agent's MCP server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// The first line.
    Hello {
        /// Its version.
        version: String,
        /// Which agent it takes itself to be, if it knows: another one is refused.
        agent: Option<String>,
        /// Can it post into its session?
        can_post: bool,
    },
    /// A call of a tool.
    Call {
        /// Names the answer.
        n: u64,
        /// The tool.
        tool: String,
        /// Its arguments.
        arguments: Value,
    },
    /// What became of a post.
    Posted {
        /// Which post.
        n: u64,
        /// Why it was not made.
        error: Option<String>,
    },
}

/// What the bridge sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    /// The first line.
    Welcome {
        /// The agent's name here.
        local: String,
        /// Its registered name; nothing while it is not registered.
        name: Option<String>,
        /// `owner/repo`.
        repo: String,
    },
    /// The first and only line.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The answer to a call.
    Answer {
        /// Which call.
        n: u64,
        /// What the tool gives, or why it failed.
        result: Result<Value, String>,
    },
    /// A message for the agent, to be posted into its session.
    Post {
        /// Names the answer.
        n: u64,
        /// What the agent reads.
        text: String,
    },
}

/// Reads a line; nothing at the end.
///
/// # Errors
/// As `read`, or the line is not what is expected.
pub async fn read<T: for<'de> Deserialize<'de>>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<T>> {
    use tokio::io::AsyncReadExt as _;
    let mut line = Vec::new();
    let read = from.take(LINE_MAX).read_until(b'\n', &mut line).await?;
    if read == 0 || !line.ends_with(b"\n") {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Writes a line.
///
/// # Errors
/// As `write`.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), item: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(item)?;
    line.push(b'\n');
    to.write_all(&line).await
}
