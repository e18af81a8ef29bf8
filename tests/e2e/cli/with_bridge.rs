//! What the commands say while bridges carry messages.

use super::snapshot;
use e2e::{Site, shared};

#[tokio::test]
async fn what_is_said_of_agents_of_other_machines() {
    let world = shared().await.world().await;
    let mut ann = Site::new(&world, &world.tokens[1], "ann");
    ann.start_bridge(&["--serve", "merge-queue"]);
    ann.reaches(&[]).await;
    let mut dan = Site::new(&world, &world.tokens[0], "dan");
    let ran = dan.machine.run(&["stand-down", "merge-queue", "--repo", &world.repo]);
    assert_eq!(ran.code, 0, "{ran:?}");
    dan.bridge(&[], &["fox-ann", "merge-queue", "supervisor-ann", "workspace-ann"]).await;
    dan.machine.clear();
    for args in [&["list"][..], &["prompt", &world.repo], &["config", &world.repo]] {
        dan.machine.run(args);
    }
    snapshot("with_bridge", &dan.machine);
}
