//! The daemon's socket: one JSON request per connection, one JSON line back.

use crate::unix;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// How long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

/// multiclaude's daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    socket: PathBuf,
}

/// Why the daemon did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It cannot be reached.
    #[error("multiclaude's daemon cannot be reached at {path}: {error}")]
    Unreachable {
        /// Its socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It refused.
    #[error("multiclaude's daemon refused {command}: {reason}")]
    Refused {
        /// What it was asked for.
        command: String,
        /// Its words.
        reason: String,
    },
}

impl Daemon {
    /// The daemon that listens on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Does it answer?
    pub async fn is_up(&self) -> bool {
        self.ask("ping", json!({})).await.is_ok()
    }

    /// Removes an agent from its state.
    ///
    /// # Errors
    /// See [`DaemonError`].
    pub async fn remove_agent(&self, repo: &str, agent: &str) -> Result<(), DaemonError> {
        self.ask("remove_agent", json!({ "repo": repo, "agent": agent })).await.map(|_| ())
    }

    /// Makes a request and gives the answer's `data`.
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
        // In one piece: the daemon answers and closes after the last brace, and a
        // byte that comes later would reset the connection under the answer.
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
                // As the real daemon does: one look at what has come, an answer, the
                // end.
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].ends_with(b"}\n"), "in one piece");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Daemon::new(socket.to_owned())
    }

    #[tokio::test]
    async fn a_refusal_has_the_daemons_words_and_a_missing_daemon_its_path() {
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
    async fn a_socket_deep_in_the_file_system_is_reached() {
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
