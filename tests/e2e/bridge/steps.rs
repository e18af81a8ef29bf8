//! Recovery from a crash between any two steps.

use super::{bridged, reaching};
use e2e::{Site, until};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

fn repo_dir(site: &Site, repo: &str) -> PathBuf {
    site.machine.path(&format!(".multiclaude-hybrid/bridge/repos/{repo}"))
}

/// The messages from Dan's fox to Ann's fox, after all that were sent so far have arrived.
async fn all(dan: &Site, ann: &Site, mark: &str) -> Vec<String> {
    dan.send("fox", "fox-ann", mark);
    ann.receives("fox", mark).await;
    ann.bodies("fox", "fox-dan").into_iter().filter(|body| !body.starts_with("mark")).collect()
}

#[tokio::test]
async fn a_message_is_sent_once_if_its_bridge_was_killed_at_any_step() {
    let (mut dan, ann, world) = reaching(&[], &[]).await;
    let dir = repo_dir(&dan, &world.repo);

    // Written by multiclaude, not taken yet.
    dan.kill_bridge();
    dan.send("fox", "fox-ann", "1");
    dan.start_bridge(&[]);
    assert_eq!(all(&dan, &ann, "mark 1").await, ["1"]);

    // Taken, not sent: the file is in the queue.
    dan.kill_bridge();
    dan.send("fox", "fox-ann", "2");
    let out = dir.join("out/fox-ann");
    let file = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let queued = dir.join(format!("queue/fox-ann/{:020}-{name}", 5));
    fs::rename(&file, &queued).unwrap();
    let text = fs::read(&queued).unwrap();
    dan.start_bridge(&[]);
    assert_eq!(all(&dan, &ann, "mark 2").await, ["1", "2"]);

    // Sent, and its file not removed yet: it is sent again, and is one message.
    dan.kill_bridge();
    fs::write(&queued, &text).unwrap();
    dan.start_bridge(&[]);
    assert_eq!(all(&dan, &ann, "mark 3").await, ["1", "2"]);
    until("the queue is empty", async || {
        fs::read_dir(dir.join("queue/fox-ann")).unwrap().next().is_none()
    })
    .await;
}

#[tokio::test]
async fn a_message_becomes_one_file_if_its_bridge_was_killed_at_any_step() {
    let (dan, mut ann, world) = bridged(&[]).await;
    dan.send("fox", "fox-ann", "1");
    let got = ann.receives("fox", "1").await;
    let (id, file) = (got["id"].as_str().unwrap().to_owned(), ann.messages("fox"));
    let file = file.join(format!("{id}.json"));
    let stage =
        |stage: &str| repo_dir(&ann, &world.repo).join(format!("inbox/fox/{stage}/{id}.json"));
    let (new, placed) = (stage("new"), stage("placed"));
    until("it is placed", async || placed.exists()).await;

    // Stored, and no file yet.
    ann.kill_bridge();
    fs::rename(&placed, &new).unwrap();
    fs::remove_file(&file).unwrap();
    ann.start_bridge(&[]);
    ann.receives("fox", "1").await;
    until("it is placed", async || placed.exists()).await;

    // The file is there, and was read since: it stays as it is.
    ann.kill_bridge();
    assert!(ann.multiclaude(Some("fox"), &["message", "ack", &id]).status.success());
    let acked = fs::read(&file).unwrap();
    fs::rename(&placed, &new).unwrap();
    ann.start_bridge(&[]);
    until("it is known to be placed", async || !new.exists()).await;
    assert_eq!(fs::read(&file).unwrap(), acked);
    // Acknowledged while the bridge was away.
    until("the acknowledgement", async || {
        world.dan.receipt(&id).await.unwrap().status.as_str() == "acked"
    })
    .await;

    // Stored, and not reported to the coordinator, which offers the message again.
    let body = json!({"from": "fox-dan", "to": "fox-ann", "body": "2"});
    let sent = world.dan.send(&body, None).await.unwrap();
    ann.receives("fox", "2").await;
    dan.send("fox", "fox-ann", "3");
    ann.receives("fox", "3").await;
    let ids: Vec<_> = ann.files("fox").iter().map(|file| file["id"].clone()).collect();
    assert_eq!(ids.iter().filter(|known| **known == sent.id.to_string()).count(), 1);
}
