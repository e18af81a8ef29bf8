//! The coordinator is away, and comes back.

use super::{on_machine, snapshot};
use crate::agent;
use e2e::{Coordinator, Options};
use std::time::{Duration, Instant};

#[tokio::test]
async fn every_command_says_that_the_coordinator_is_away_and_works_again_when_it_is_back() {
    let mut coordinator = Coordinator::start(Options::default()).await;
    let world = coordinator.world().await;
    let mut machine = on_machine(&world, &world.tokens[2], "lap");
    world.ci.register(&agent("desk")).await.unwrap();
    coordinator.kill();
    machine.clear();
    let repo = world.repo.as_str();
    let (msg, spn) =
        ("msg_0193a1b2c3d47000800000010a2b3c4d_desk", "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b");
    for (args, code) in [
        (&["whoami"][..], 8),
        (&["agents", "--repo", repo], 8),
        (&["send", "--repo", repo, "--from", "desk", "desk", "hi"], 8),
        (&["inbox", "--repo", repo, "desk"], 8),
        (&["ack", "--repo", repo, msg], 8),
        (&["receipt", "--repo", repo, msg], 8),
        (&["work", "--repo", repo, "--remote", "x", "--wait"], 8),
        (&["workers", "--repo", repo], 8),
        (&["workers", "--repo", repo, "wait", spn], 8),
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
        let told = ran.stderr + &ran.stdout;
        assert!(told.contains("cannot be reached"), "{args:?}: {told}");
        assert!(started.elapsed() < Duration::from_secs(20), "{args:?}");
    }
    snapshot("away", &machine);
    coordinator.launch().await;
    let ran = machine.run(&["send", "--repo", repo, "--from", "desk", "desk", "hi"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}
