//! The inbox socket: one JSON line a message, no answer.

use crate::Event;
use crate::lines::Peer;
use crate::process;
use rustix::net::sockopt::socket_peercred;
use serde_json::Value;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::thread;

/// A message that came through the socket.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) text: String,
    /// The session that it is meant for.
    pub(crate) session: Option<String>,
    pub(crate) peer: Peer,
}

/// Listens in `<temporary directory>/cc-socks/<pid>.sock`.
pub(crate) fn listen(events: Sender<Event>) -> std::io::Result<PathBuf> {
    let directory = std::env::temp_dir().join("cc-socks");
    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let path = directory.join(format!("{}.sock", std::process::id()));
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // At once: a writer that ends soon is gone from /proc.
            let Some((pid, start, own)) = writer(&stream) else { continue };
            let events = events.clone();
            thread::spawn(move || read(&stream, pid, &start, own, &events));
        }
    });
    Ok(path)
}

/// Process id and start of who connected, and whether it is a child of ours.
fn writer(stream: &UnixStream) -> Option<(u32, String, bool)> {
    let pid = socket_peercred(stream).ok()?.pid.as_raw_nonzero().get().unsigned_abs();
    let own = process::descends(pid, std::process::id());
    Some((pid, process::start(pid).unwrap_or_default(), own))
}

fn read(stream: &UnixStream, pid: u32, start: &str, own: bool, events: &Sender<Event>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let (Some("user"), Some(text)) =
            (message["type"].as_str(), message["message"]["content"].as_str())
        else {
            continue;
        };
        let from = message["from"].as_str().unwrap_or("unknown").to_owned();
        let peer = Peer { from, pid, start: start.to_owned(), own };
        let session = message["session_id"].as_str().map(str::to_owned);
        let letter = Letter { text: text.to_owned(), session, peer };
        if events.send(Event::Letter(letter)).is_err() {
            return;
        }
    }
}
