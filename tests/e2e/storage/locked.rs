//! A mailbox whose database is locked, or was left half written.

use crate::{agent, code};
use e2e::Coordinator;
use multiclaude_hybrid_protocol::ErrorCode::Unavailable;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A person's message: no other mailbox takes part.
fn from_dan(text: &str) -> Value {
    json!({"from": "user:dan", "to": "queue", "body": text})
}

/// The databases of all mailboxes.
pub(super) fn mailboxes(coordinator: &Coordinator) -> Vec<PathBuf> {
    let objects = coordinator.state_dir().join("v3/do/multiclaude-hybrid-Mailbox");
    let files = std::fs::read_dir(objects).unwrap().map(|file| file.unwrap().path());
    let of_objects = files.filter(|path| {
        path.extension().is_some_and(|end| end == "sqlite")
            && path.file_stem().is_some_and(|stem| stem != "metadata")
    });
    of_objects.collect()
}

/// The database of the only mailbox.
pub(super) fn mailbox(coordinator: &Coordinator) -> PathBuf {
    let mut databases = mailboxes(coordinator);
    assert_eq!(databases.len(), 1, "{databases:?}");
    databases.remove(0)
}

/// Runs a statement on a database that no process has open, but for one that is being killed.
pub(super) fn sql(database: &Path, statement: &str) {
    const RUN: &str = "const {DatabaseSync} = require('node:sqlite');\
        new DatabaseSync(process.argv[1], {timeout: 60000}).exec(process.argv[2]);";
    let mut node = e2e::tool("node");
    node.args(["--disable-warning=ExperimentalWarning", "-e", RUN]).arg(database).arg(statement);
    assert!(node.status().unwrap().success());
}

/// Holds a write lock on a database until it is dropped.
struct Lock(std::process::Child);

impl Lock {
    fn on(database: &Path) -> Self {
        const HOLD: &str = "const {DatabaseSync} = require('node:sqlite');\
            const db = new DatabaseSync(process.argv[1], {timeout: 10000}); db.exec('BEGIN IMMEDIATE');\
            console.log('locked'); process.stdin.on('end', () => process.exit()).resume();";
        let mut child = e2e::tool("node")
            .args(["--disable-warning=ExperimentalWarning", "-e", HOLD])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "locked\n");
        Self(child)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_mailbox_whose_database_is_locked_is_unavailable_and_loses_nothing() {
    let (coordinator, world) = Coordinator::own().await;
    world.ann.register(&agent("queue")).await.unwrap();
    let first = world.dan.send(&from_dan("first"), Some("first")).await.unwrap();
    let lock = Lock::on(&mailbox(&coordinator));
    let id = first.id.to_string();
    let refused = world.dan.send(&from_dan("second"), Some("second")).await.unwrap_err();
    assert_eq!((refused.code(), refused.status()), (Some(Unavailable), Some(503)));
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(code(world.ann.report(&id, "acked").await), Unavailable);
    let change = json!({"endpoint": "https://hooks.example.com/"});
    assert_eq!(code(world.ann.update("queue", &change).await), Unavailable);
    drop(lock);
    let sent = world.dan.send(&from_dan("second"), Some("second")).await.unwrap();
    assert_eq!(world.dan.send(&from_dan("second"), Some("second")).await.unwrap().id, sent.id);
    let bodies: Vec<_> =
        world.ann.messages("queue", "").await.unwrap().into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["first", "second"]);
    world.ann.report(&id, "acked").await.unwrap();
}

#[tokio::test]
async fn a_key_whose_message_was_not_stored_answers_with_no_other_message() {
    let (mut coordinator, world) = Coordinator::own().await;
    world.ann.register(&agent("queue")).await.unwrap();
    let first = world.dan.send(&from_dan("first"), Some("first")).await.unwrap();
    coordinator.kill();
    // As if storing the message had failed after its key: another one has its place.
    sql(&mailbox(&coordinator), "UPDATE messages SET key = NULL");
    coordinator.launch().await;
    let again = world.dan.send(&from_dan("first"), Some("first")).await.unwrap();
    assert_ne!(again.id, first.id);
    assert_eq!(world.dan.send(&from_dan("first"), Some("first")).await.unwrap().id, again.id);
}
