//! Many messages to ten agents with random events in their sessions. With `SOAK=1` there
//! are five times as many.

use super::Hop;
use fastrand::Rng;
use serde_json::json;
use std::time::Duration;

const AGENTS: [&str; 9] = ["ant", "bee", "cat", "dog", "elk", "fly", "gnu", "hen", "ibis"];

/// Triggers an event in a session. It is over before the next begins.
async fn happen(hop: &Hop, agent: &str, what: u32) {
    let claude = hop.ann.claude(agent);
    let target = format!("=mc-app:={agent}");
    let keys = |keys: &[&str]| {
        let mut args = vec!["send-keys", "-t", &target];
        args.extend(keys);
        hop.ann.tmux(&args);
    };
    let pause = || tokio::time::sleep(Duration::from_millis(700));
    match what {
        0 => drop(claude.try_ask(&json!({ "turn_ms": 1500, "mode": "tool" }))),
        1 => drop(claude.try_ask(&json!({ "turn_ms": 1200, "mode": "stream" }))),
        2 => drop(claude.try_ask(&json!({ "turn_ms": 50, "mode": "text" }))),
        3 => drop(claude.try_ask(&json!({ "start_turn": true }))),
        4 => drop(claude.try_ask(&json!({ "compact_ms": 1500 }))),
        5 => {
            claude.try_ask(&json!({ "dialog": "permission" }));
            pause().await;
            claude.try_ask(&json!({ "dialog": null }));
        }
        6 => {
            keys(&["-l", "half a thought"]);
            pause().await;
            keys(&["C-c"]);
        }
        7 => {
            hop.ann.tmux(&["copy-mode", "-t", &target]);
            pause().await;
            hop.ann.tmux(&["send-keys", "-t", &target, "-X", "cancel"]);
        }
        8 => {
            // A human types it only into an empty box.
            let state = claude.try_ask(&json!({ "state": true })).unwrap_or_default();
            if state["box"] == "" && state["dialog"].is_null() && state["status"] == "idle" {
                keys(&["/clear", "Enter"]);
            }
        }
        _ => hop.restart(agent).await,
    }
}

async fn exchange(hop: Hop, each: usize, what: std::ops::Range<u32>) {
    for agent in AGENTS {
        hop.ann.ok(&["worker", "create", "a task", "--repo", "app", "--name", agent]);
    }
    let agents = || AGENTS.into_iter().chain(["fox"]);
    let names: Vec<_> = agents().map(|agent| format!("{agent}-ann")).collect();
    hop.ann
        .status_with("all are registered", |status| {
            let known = status["repos"][0]["agents"].as_array()?;
            let known = |name: &String| known.iter().any(|agent| agent["name"] == name.as_str());
            names.iter().all(known).then_some(())
        })
        .await;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let (mut left, mut sent) = (each, 0);
    let limit = tokio::time::Instant::now() + Duration::from_secs(300 + 12 * each as u64);
    loop {
        if left > 0 {
            for agent in agents() {
                hop.dan.send(
                    "fox",
                    &format!("{agent}-ann"),
                    &format!("message {left}\n!touch proof"),
                );
                sent += 1;
            }
            left -= 1;
        }
        let agent = agents().nth(rng.usize(..=AGENTS.len())).unwrap();
        happen(&hop, agent, rng.u32(what.clone())).await;
        let seen = hop
            .ann
            .machine
            .path(&format!(".multiclaude-hybrid/bridge/repos/{}/inbox", hop.world.repo));
        let count = |agent: &str| {
            std::fs::read_dir(seen.join(agent).join("seen")).map_or(0, Iterator::count)
        };
        let done: usize = agents().map(count).sum();
        if left == 0 && done == sent {
            break;
        }
        let now = tokio::time::Instant::now();
        assert!(now < limit, "{done} of {sent} are seen, seed {seed}:\n{}", hop.ann.status());
    }
    let taken = hop.ann.taken();
    assert_eq!(taken.len(), sent, "each has arrived, seed {seed}");
    for (id, times) in &taken {
        assert_eq!(*times, 1, "{id}, seed {seed}:\n{}", hop.ann.log());
        let receipt = hop.world.dan.receipt(id).await.unwrap();
        assert!(receipt.seen_at.is_some(), "{receipt:?}");
    }
    for agent in agents() {
        for event in hop.ann.claude(agent).events() {
            let kind = event["event"].as_str().unwrap_or_default();
            let cleared = event["text"].as_str().is_some_and(|text| text.starts_with("/clear"));
            assert!(!matches!(kind, "executed" | "approved"), "{event}, seed {seed}");
            assert!(kind != "command" || cleared, "{event}, seed {seed}");
        }
        assert!(!hop.ann.worktree(agent).join("proof").exists());
    }
}

fn each(count: usize) -> usize {
    if std::env::var_os("SOAK").is_some() { 5 * count } else { count }
}

#[tokio::test]
async fn many_messages_by_channel_are_each_taken_once_during_random_events() {
    exchange(Hop::with_channel().await, each(20), 0..10).await;
}

#[tokio::test]
async fn many_messages_by_keyboard_are_each_taken_once_during_random_events() {
    exchange(Hop::with_keyboard(&[]).await, each(5), 0..10).await;
}
