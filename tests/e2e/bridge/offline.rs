//! Messages wait in order while the coordinator, multiclaude or disk space is missing.

use super::{OF_ANN, of, reaching, two};
use e2e::{Coordinator, Site, eventually, until};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Both machines with their bridges, and a coordinator of their own that was just killed.
async fn outage() -> (Coordinator, Site, Site) {
    let (mut coordinator, world) = Coordinator::own().await;
    let (mut dan, mut ann) = of(&world);
    ann.start_bridge(&[]);
    ann.reaches(&[]).await;
    dan.bridge(&[], &OF_ANN).await;
    coordinator.kill();
    (coordinator, dan, ann)
}

#[tokio::test]
async fn messages_wait_for_the_coordinator_in_order_and_the_outage_is_logged_once() {
    let (mut coordinator, mut dan, ann) = outage().await;
    let wanted: Vec<_> = (0..30).map(|n| format!("m{n}")).collect();
    for body in &wanted {
        dan.send("fox", "fox-ann", body);
    }
    dan.status_with("30 messages wait", |status| {
        (status["repos"][0]["outgoing"]["fox-ann"]["waiting"] == 30
            && status["repos"][0]["online"] == false)
            .then_some(())
    })
    .await;
    // A restart in the outage changes nothing.
    dan.kill_bridge();
    dan.start_bridge(&[]);
    dan.send("fox", "fox-ann", "m30");
    coordinator.launch().await;
    let all = eventually("all arrive", || async {
        Some(ann.bodies("fox", "fox-dan")).filter(|bodies| bodies.len() == 31)
    })
    .await;
    assert_eq!(all[..30], wanted);
    for line in ["the coordinator is away", "the coordinator is back"] {
        assert_eq!(ann.log().matches(line).count(), 1, "{}", ann.log());
    }
}

#[tokio::test]
async fn a_message_that_grows_too_old_in_an_outage_is_returned_while_the_outage_lasts() {
    let (mut coordinator, dan, ann) = outage().await;
    dan.send("fox", "fox-ann", "young");
    dan.status_with("the outage is known", |status| {
        (status["repos"][0]["online"] == false).then_some(())
    })
    .await;
    let limit = chrono::TimeDelta::hours(8 * 24 - 6);
    let written = chrono::Utc::now() - limit + chrono::TimeDelta::seconds(2);
    let old = json!({
        "id": "msg-old", "from": "fox", "to": "workspace-ann", "timestamp": written.to_rfc3339(),
        "body": "old news", "status": "pending",
    });
    std::fs::write(dan.messages("workspace-ann").join("msg-old.json"), old.to_string()).unwrap();
    let returned = dan.bodies_with("fox", "multiclaude-hybrid", "old news").await;
    assert!(returned.contains("almost 8 days (the coordinator is away)"), "{returned}");
    coordinator.launch().await;
    ann.receives("fox", "young").await;
}

#[tokio::test]
async fn while_multiclaude_is_down_messages_are_stored_and_its_agents_count_as_stopped() {
    let (dan, ann, world) = reaching(&[], &["--time-scale", "20"]).await;
    ann.ok(&["stop"]);
    dan.send("fox", "fox-ann", "stored without a daemon");
    ann.receives("fox", "stored without a daemon").await;
    until("ann's agents are stopped", async || {
        let agents = world.ann.agents("owner=ann").await.unwrap();
        agents.iter().all(|agent| agent.status.as_str() == "stopped")
    })
    .await;
}

/// A command for the bridge, with a file system of one megabyte at its
/// `.multiclaude-hybrid/bridge`.
fn on_a_small_disk(hybrid: &Command, dir: &Path) -> Command {
    let line = format!(
        "mount -t tmpfs -o size=1m,mode=700 tmpfs '{}' && exec {} bridge run",
        dir.display(),
        hybrid.get_program().display()
    );
    e2e::process::in_namespace(hybrid, &["--mount"], &line)
}

#[tokio::test]
async fn on_a_full_disk_messages_wait_and_arrive_when_there_is_space() {
    let (mut dan, mut ann, _) = two().await;
    let dir = ann.machine.path(".multiclaude-hybrid/bridge");
    std::fs::create_dir_all(&dir).unwrap();
    let command = on_a_small_disk(&ann.machine.hybrid(&[]), &dir);
    ann.start(command);
    // Only its process sees that file system, so read the files through /proc.
    let inside = |pid: u32| PathBuf::from(format!("/proc/{pid}/root{}", dir.display()));
    let pid = ann.bridge_pid();
    let names = eventually("Ann's bridge runs", || async {
        let text = std::fs::read(inside(pid).join("status.json")).ok()?;
        let status: serde_json::Value = serde_json::from_slice(&text).ok()?;
        status["repos"][0]["agents"].as_array().filter(|agents| agents.len() == 4).cloned()
    })
    .await;
    assert_eq!(names.len(), 4);
    dan.bridge(&[], &OF_ANN).await;
    dan.send("fox", "fox-ann", "before");
    ann.receives("fox", "before").await;
    let ballast = inside(pid).join("ballast");
    let full = std::fs::write(&ballast, vec![b'x'; 2_000_000]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    for body in ["one", "two", "three"] {
        dan.send("fox", "fox-ann", body);
    }
    let line = "messages cannot be stored; they wait at the coordinator";
    until("it is logged", async || ann.log().contains(line)).await;
    std::fs::remove_file(&ballast).unwrap();
    ann.receives("fox", "three").await;
    assert_eq!(ann.bodies("fox", "fox-dan"), ["before", "one", "two", "three"]);
    assert_eq!(ann.log().matches(line).count(), 1, "{}", ann.log());
}
