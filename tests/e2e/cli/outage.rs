//! The coordinator is away, and comes back.

use super::running::Running;
use super::{on_machine, snapshot};
use crate::agent;
use e2e::{Coordinator, Machine, until};
use multiclaude_hybrid_protocol::message::MessageStatus;
use std::time::{Duration, Instant};

const SPN: &str = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";

/// Runs every command that needs the coordinator; each ends soon and says that it is away.
fn every_command_says_so(machine: &mut Machine, repo: &str) {
    let msg = "msg_0193a1b2c3d47000800000010a2b3c4d_desk";
    for (args, code) in [
        (&["whoami"][..], 8),
        (&["agents", "--repo", repo], 8),
        (&["send", "--repo", repo, "--from", "desk", "desk", "hi"], 8),
        (&["inbox", "--repo", repo, "desk"], 8),
        (&["ack", "--repo", repo, msg], 8),
        (&["receipt", "--repo", repo, msg], 8),
        (&["work", "--repo", repo, "--remote", "x", "--wait"], 8),
        (&["workers", "--repo", repo], 8),
        (&["workers", "--repo", repo, "wait", SPN], 8),
        (&["inbox", "--repo", repo, "--follow"], 8),
        (&["tokens"], 8),
        (&["invite", "eve", "--repo", repo], 8),
        (&["prompt", repo], 8),
        (&["config", repo], 8),
        (&["config", repo, "--max-workers=3"], 8),
        (&["config", repo, "--hybrid=true"], 0),
        (&["list"], 8),
        (&["doctor"], 1),
    ] {
        let started = Instant::now();
        let args = [&["--timeout", "5"], args].concat();
        let ran = machine.run(&args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        let printed = ran.stderr + &ran.stdout;
        assert!(printed.contains("cannot be reached"), "{args:?}: {printed}");
        assert!(started.elapsed() < Duration::from_secs(20), "{args:?}");
    }
}

#[tokio::test]
async fn every_command_says_that_the_coordinator_is_away_and_works_again_when_it_is_back() {
    let (mut coordinator, world) = Coordinator::own().await;
    let mut machine = on_machine(&world, &world.tokens[2], "lap");
    world.ci.register(&agent("desk")).await.unwrap();
    coordinator.kill();
    machine.clear();
    let repo = world.repo.as_str();
    every_command_says_so(&mut machine, repo);
    snapshot("away", &machine);
    // Claude Code starts its servers once: what is away now may be there later.
    let hello = r#"{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}"#;
    let hello = format!("{}\n", hello.replace('\n', " "));
    let served = machine.run_with(&["mcp", "--agent", "desk", "--repo", repo], &hello);
    assert!(served.stdout.contains("serverInfo"), "{served:?}");
    // Without a limit, what follows waits for the coordinator, and says so once.
    let follower = Running::start(&machine, &["inbox", "desk", "--repo", repo, "--follow"]);
    let refused = Running::start(&machine, &["workers", "--repo", repo, "wait", SPN]);
    follower.until("waiting for it");
    refused.until("waiting for the coordinator");
    coordinator.launch().await;
    let said = follower.until("the coordinator is back");
    assert!(!said.contains("waiting for it"), "it says it once: {said}");
    // There is no such request.
    refused.end().await.exits(5);
    let send = ["--json", "send", "--repo", repo, "--from", "desk", "desk", "hi"];
    let id = machine.run(&send).json()["id"].as_str().unwrap().to_owned();
    until("the delivery to the follower", async || {
        let receipt = world.ci.receipt(&id).await.unwrap();
        receipt.status == MessageStatus::Delivered
    })
    .await;
    follower.kill();
}

#[tokio::test]
async fn a_limit_ends_the_waiting_for_a_worker_or_for_messages() {
    let (mut machine, world) = super::dans().await;
    world.dan.register(&agent("desk")).await.unwrap();
    let repo = world.repo.as_str();
    let asked = machine.run(&["--json", "work", "--repo", repo, "--remote", "x"]).json();
    let id = asked["id"].as_str().unwrap();
    let lines = [
        format!("workers --repo {repo} wait {id}"),
        format!("work --repo {repo} --remote y --wait"),
        format!("send --repo {repo} desk hi --wait"),
        format!("inbox desk --repo {repo} --follow"),
        format!("inbox desk --repo {repo} --follow --peek"),
    ];
    let start = |line: &String| {
        let args: Vec<_> = ["--timeout", "10"].into_iter().chain(line.split(' ')).collect();
        Running::start(&machine, &args)
    };
    let running: Vec<_> = lines.iter().map(start).collect();
    for (line, running) in lines.iter().zip(running) {
        let ran = running.end().await;
        assert_eq!(ran.code, 124, "{line}: {ran:?}");
        assert!(ran.stderr.contains("the time to wait"), "{line}: {ran:?}");
    }
}
