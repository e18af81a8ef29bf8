//! `inbox --follow`, while the coordinator dies and comes back.

use super::{ended, on_machine};
use crate::senders::Senders;
use crate::{agent, delivery_is, message, status_is};
use e2e::process::kill;
use e2e::{Coordinator, eventually, grows, until};
use multiclaude_hybrid_protocol::agent::Delivery;
use multiclaude_hybrid_protocol::message::MessageStatus;
use std::collections::HashSet;
use std::fs::{self, File};
use std::time::{Duration, Instant};

/// The ids of the lines of JSON in a file.
fn ids(path: &std::path::Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let id = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["id"].as_str().unwrap().to_owned()
    };
    whole.lines().map(id).collect()
}

#[tokio::test]
async fn following_shows_each_message_once_through_restarts_under_load() {
    let (mut coordinator, world) = Coordinator::own().await;
    world.dan.register(&agent("desk")).await.unwrap();
    let machine = on_machine(&world, &world.tokens[0], "lap");
    let path = machine.path("followed");
    // One that takes part, and one that only looks, from an empty mailbox on.
    let follow = |path: &std::path::Path, how: &str| {
        let args = ["--json", "inbox", "desk", "--repo", &world.repo, "--follow", how];
        let mut command = machine.hybrid(&args);
        let (out, said) =
            (File::create(path).unwrap(), File::create(path.with_extension("said")).unwrap());
        command.stdout(out).stderr(said).spawn().unwrap()
    };
    let watched = machine.path("watched");
    let (follower, watcher) = (follow(&path, "--ack"), follow(&watched, "--peek"));
    let senders = Senders::start(&world.ann, 4, |_, _| message("user:ann", "desk", "x"));
    let restarts = if std::env::var("SOAK").is_ok() { 10 } else { 3 };
    for _ in 0..restarts {
        let shown = ids(&path).len();
        until("more messages", async || ids(&path).len() > shown + 20).await;
        coordinator.restart().await;
    }
    let sent = senders.stop().await;
    let sent: HashSet<_> = sent.into_iter().map(|message| message.id.to_string()).collect();
    grows("every message", sent.len(), async || ids(&path).len()).await;
    let shown = ids(&path);
    let once: HashSet<String> = shown.iter().cloned().collect();
    assert_eq!((once.len(), &once), (shown.len(), &sent));
    assert!(shown.is_sorted());
    eventually("every acknowledgement", || async {
        let waiting = world.dan.messages("desk", "status=pending&limit=1").await.ok()?;
        let delivered = world.dan.messages("desk", "status=delivered&limit=1").await.ok()?;
        (waiting.is_empty() && delivered.is_empty()).then_some(())
    })
    .await;
    // What was acknowledged before it looked, a looker is not shown.
    let seen = ids(&watched);
    let once: HashSet<&String> = seen.iter().collect();
    assert!(once.len() == seen.len() && seen.iter().all(|id| sent.contains(id)));
    println!("{} messages through {restarts} restarts, {} looked at", shown.len(), seen.len());
    for mut child in [follower, watcher] {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        kill(&mut child, "a follower");
    }
}

#[tokio::test]
async fn following_ends_with_a_word_when_the_agent_is_gone_or_somebody_else_follows() {
    let (machine, world) = super::dans().await;
    world.dan.register(&agent("desk")).await.unwrap();
    let follow = |machine: &e2e::Machine| {
        let mut command = machine.hybrid(&["inbox", "desk", "--repo", &world.repo, "--follow"]);
        command.stdin(std::process::Stdio::null()).spawn().unwrap()
    };
    let first = follow(&machine);
    delivery_is(&world, "desk", Delivery::Stream).await;
    let second = follow(&machine);
    let replaced = ended(first).await;
    let said = String::from_utf8(replaced.stderr).unwrap();
    assert_eq!(replaced.status.code(), Some(6), "{said}");
    world.ann.register(&agent("ann-ws")).await.unwrap();
    let sent = world.ann.send(&message("ann-ws", "desk", "hello"), None).await.unwrap();
    status_is(&world, &sent.id, MessageStatus::Delivered).await;
    world.dan.deregister("desk").await.unwrap();
    let since = Instant::now();
    let ended = ended(second).await;
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(5), "{said}");
    assert!(String::from_utf8(ended.stdout).unwrap().contains("hello"));
    assert!(since.elapsed() < Duration::from_secs(20));
}
