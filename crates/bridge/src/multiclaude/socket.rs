//! The daemon's socket: one JSON request per connection, answered by one JSON line.

use crate::unix;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer that are read.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

/// multiclaude's daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    socket: PathBuf,
}

/// Why a request to the daemon failed.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It cannot be reached.
    #[error("multiclaude's daemon cannot be reached at {path}: {error}")]
    Unreachable {
        /// The path of its socket.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It refused the request.
    #[error("multiclaude's daemon refused {command}: {reason}")]
    Refused {
        /// The command of the request.
        command: String,
        /// The daemon's explanation.
        reason: String,
    },
}

impl Daemon {
    /// The daemon that listens on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Does the daemon answer?
    pub async fn is_up(&self) -> bool {
        self.ask("ping", json!({})).await.is_ok()
    }

    /// Removes an agent from multiclaude's state.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub async fn remove_agent(&self, repo: &str, agent: &str) -> Result<(), DaemonError> {
        self.ask("remove_agent", json!({ "repo": repo, "agent": agent })).await.map(|_| ())
    }

    /// Makes a request and returns the answer's `data`.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub async fn ask(&self, command: &str, args: Value) -> Result<Value, DaemonError> {
        let request = json!({ "command": command, "args": args }).to_string();
        let answer = timeout(PATIENCE, self.exchange(&request));
        let answer = answer.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let answer = answer
            .and_then(|text| Ok(serde_json::from_str::<Value>(&text)?))
            .map_err(|error| DaemonError::Unreachable { path: self.socket.clone(), error })?;
        if answer.get("success").and_then(Value::as_bool) == Some(true) {
            return Ok(answer.get("data").cloned().unwrap_or_default());
        }
        let reason = answer.get("error").and_then(Value::as_str).unwrap_or("no reason given");
        Err(DaemonError::Refused { command: command.to_owned(), reason: reason.to_owned() })
    }

    async fn exchange(&self, request: &str) -> io::Result<String> {
        let mut stream = unix::connect(&self.socket).await?;
        // Write it in one piece: the daemon answers and closes after the last brace, and
        // a later byte would reset the connection before the answer is read.
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(ANSWER_MAX)).read_line(&mut answer).await?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tokio::net::UnixListener;

    fn answering(socket: &Path, answer: &'static str) -> Daemon {
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Like the real daemon: one read, an answer, the end.
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].ends_with(b"}\n"), "in one piece");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Daemon::new(socket.to_owned())
    }

    #[tokio::test]
    async fn a_refusal_has_the_daemons_explanation_and_a_missing_daemon_is_not_up() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("a.sock");
        let refusing = answering(&socket, "{\"success\":false,\"error\":\"no such agent\"}\n");
        let refused = refusing.remove_agent("app", "fox").await.unwrap_err();
        assert!(refused.to_string().contains("no such agent"), "{refused}");
        let missing = Daemon::new(dir.path().join("none.sock"));
        assert!(!missing.is_up().await);
        let garbage = answering(&dir.path().join("b.sock"), "what?\n");
        assert!(!garbage.is_up().await);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_with_a_long_path_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let here = dir.path().join("s");
        let daemon = answering(&here, "{\"success\":true,\"data\":\"pong\"}\n");
        assert!(daemon.is_up().await);
        std::fs::rename(&here, deep.join("daemon.sock")).unwrap();
        assert!(Daemon::new(deep.join("daemon.sock")).is_up().await);
    }
}
