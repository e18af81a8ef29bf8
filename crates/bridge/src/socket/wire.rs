//! The items that both ends of the socket send, each a line of JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The most bytes of a line: a list of messages of 64 KiB, with every byte escaped.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// An item that an agent's MCP server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// The first line.
    Hello {
        /// The version of the MCP server.
        version: String,
        /// The agent that it expects to act for, if it knows: another one is refused.
        agent: Option<String>,
        /// Can it post into its session?
        can_post: bool,
    },
    /// A call of a tool.
    Call {
        /// The number of the call, for the answer.
        n: u64,
        /// The name of the tool.
        tool: String,
        /// The tool's arguments.
        arguments: Value,
    },
    /// The outcome of a post.
    Posted {
        /// The number of the post.
        n: u64,
        /// Why it failed, if it did.
        error: Option<String>,
    },
}

/// An item that the bridge sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    /// The first line.
    Welcome {
        /// The agent's local name.
        local: String,
        /// The agent's registered name; `None` while it is not registered.
        name: Option<String>,
        /// `owner/repo`.
        repo: String,
    },
    /// The first and only line.
    Refused {
        /// The reason, with advice.
        reason: String,
    },
    /// The answer to a call.
    Answer {
        /// The number of the call.
        n: u64,
        /// The tool's result, or why it failed.
        result: Result<Value, String>,
    },
    /// A text to post into the agent's session.
    Post {
        /// The number of the post, for the outcome.
        n: u64,
        /// The text for the agent.
        text: String,
    },
}

/// Reads a line; `None` at the end.
///
/// # Errors
/// Reading fails, or the line is not a `T`.
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
/// Writing fails.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), item: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(item)?;
    line.push(b'\n');
    to.write_all(&line).await
}
