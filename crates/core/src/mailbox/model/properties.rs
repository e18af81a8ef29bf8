//! Properties that hold in every order of events.

use super::steps::{Step, step};
use super::world::World;
use proptest::prelude::*;

/// 2,000 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var("PROPTEST_CASES").is_ok() { usual.cases } else { 2000 };
    ProptestConfig { cases, ..usual }
}

proptest! {
    #![proptest_config(config())]

    /// In any order of events, with a crash between any two writes: ids grow, statuses go forward only, nothing accepted is lost,
    /// every failure is reported exactly once.
    #[test]
    fn no_message_is_lost_reported_twice_or_moved_back(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.end();
    }

    /// With an endpoint that accepts everything, messages are pushed by place, each once,
    /// even if others are polled and acknowledged in between.
    #[test]
    fn pushes_are_fifo(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        world.step(Step::Configure { generation: 3, revision: 3, endpoint: true });
        for step in steps {
            match step {
                Step::Push(_) => world.step(Step::Push(0)),
                Step::CrashAfter(_) => {}
                other => world.step(other),
            }
        }
        prop_assert!(world.pushed.is_sorted_by(|a, b| a < b), "{:?}", world.pushed);
        prop_assert!(world.offered.is_sorted(), "{:?}", world.offered);
    }

    /// The mailbox ends in the state of the newest version, in any order of configurations
    /// and repeats.
    #[test]
    fn the_newest_version_wins_in_any_order(
        mut versions in prop::collection::vec((1_u32..4, 1_u32..4), 1..10), newest in (1_u32..4, 1_u32..4)
    ) {
        let highest = *versions.iter().chain([&newest]).max().unwrap();
        versions.push(newest);
        let mut world = World::new();
        for (generation, revision) in versions {
            // Revision 3 stands for the tombstone of its generation.
            world.step(if revision == 3 {
                Step::Close { generation, revision }
            } else {
                Step::Configure { generation, revision, endpoint: revision == 2 }
            });
        }
        let config = world.mailbox.config().unwrap();
        prop_assert_eq!((config.version.generation, config.version.revision), highest);
        prop_assert_eq!(config.open, highest.1 != 3);
        prop_assert_eq!(config.endpoint.is_some(), highest.1 == 2);
    }
}
