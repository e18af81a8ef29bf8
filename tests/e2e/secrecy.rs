//! Secrets are found neither in the database nor in the logs.

use crate::{message, name, pushed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Coordinator, Options, until};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The files below `dir` that hold this.
pub(crate) fn files_with(dir: &Path, wanted: &(impl AsRef<[u8]> + ?Sized)) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, wanted));
        } else if fs::read(&path).is_ok_and(|bytes| contains(&bytes, wanted.as_ref())) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn neither_the_raw_database_nor_the_logs_hold_a_token_or_a_webhook_secret() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let (world, sink, generated) = pushed(&coordinator, vec![]).await;
    let rotated = world.ann.rotate_secret(&name("queue")).await.unwrap();
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    world.ann.update("queue", &json!({"webhook_secret": given})).await.unwrap();
    world.dan.send(&message("ws", "queue", "a-body-that-is-private"), Some("key")).await.unwrap();
    sink.wait_for(1).await;
    until("the push in the log", async || coordinator.log().contains("\"event\":\"push\"")).await;
    coordinator.kill();

    let mut secrets: Vec<Vec<u8>> = vec![coordinator.admin.clone().into_bytes()];
    secrets.extend(world.tokens.iter().map(|token| token.clone().into_bytes()));
    for secret in [generated, rotated, given] {
        let key = secret.strip_prefix("whsec_").unwrap();
        secrets.push(key.as_bytes().to_vec());
        secrets.push(STANDARD.decode(key).unwrap());
    }
    let state = coordinator.state_dir();
    assert!(!files_with(&state, "a-body-that-is-private").is_empty(), "the search finds nothing");
    let log = coordinator.log().into_bytes();
    assert!(contains(&log, b"\"event\":\"push\""));
    for secret in &secrets {
        let text = String::from_utf8_lossy(secret);
        assert!(files_with(&state, secret).is_empty(), "in the database: {text}");
        assert!(!contains(&log, secret), "in the log: {text}");
    }
    assert!(!contains(&log, b"a-body-that-is-private"), "a message's body is in the log");
}
