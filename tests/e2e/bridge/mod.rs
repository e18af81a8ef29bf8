//! Two machines with a bridge each: multiclaude's own commands send messages from one to
//! the other.

mod chaos;
mod endings;
mod exchange;
mod hostile;
mod offline;
mod roles;
mod steps;
mod transports;
mod watching;

use e2e::{Site, World, shared};

/// Dan's and Ann's machines, both with a supervisor, a merge-queue, a default
/// workspace and a worker fox; no bridge runs yet.
async fn two() -> (Site, Site, World) {
    let world = shared().await.world().await;
    let (dan, ann) = of(&world);
    (dan, ann, world)
}

fn of(world: &World) -> (Site, Site) {
    (Site::new(world, &world.tokens[0], "dan"), Site::new(world, &world.tokens[1], "ann"))
}

/// Both machines with their bridges; Dan's knows Ann's agents.
async fn reaching(of_dan: &[&str], of_ann: &[&str]) -> (Site, Site, World) {
    let (mut dan, mut ann, world) = two().await;
    ann.start_bridge(of_ann);
    ann.reaches(&[]).await;
    dan.bridge(of_dan, &OF_ANN).await;
    (dan, ann, world)
}

const OF_DAN: [&str; 4] = ["supervisor-dan", "merge-queue-dan", "workspace-dan", "fox-dan"];
const OF_ANN: [&str; 4] = ["supervisor-ann", "merge-queue-ann", "workspace-ann", "fox-ann"];

/// Both machines with their bridges, which know each other's agents.
async fn bridged(args: &[&str]) -> (Site, Site, World) {
    let (mut dan, mut ann, world) = two().await;
    dan.start_bridge(args);
    dan.reaches(&[]).await;
    ann.bridge(args, &OF_DAN).await;
    // Dan's list of agents is older than Ann's agents.
    dan.kill_bridge();
    dan.bridge(args, &OF_ANN).await;
    (dan, ann, world)
}
