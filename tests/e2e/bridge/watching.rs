//! Missing reports of file changes.

use super::{OF_ANN, of, reaching};
use e2e::shared;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::process::Command;

/// A command for the bridge in a separate user namespace, with a small `limit` of inotify.
fn limited(hybrid: &Command, limit: &str, value: u32) -> Command {
    let line = format!(
        "echo {value} >/proc/sys/user/{limit} && exec {} bridge run",
        hybrid.get_program().display()
    );
    e2e::process::in_namespace(hybrid, &[], &line)
}

#[tokio::test]
async fn with_small_limits_of_inotify_no_message_is_lost_and_the_limits_are_reported() {
    let world = shared().await.world().await;
    for (limit, value) in [("max_inotify_watches", 3), ("max_inotify_instances", 0)] {
        let (mut dan, mut ann) = of(&world);
        ann.start_bridge(&[]);
        ann.reaches(&[]).await;
        let command = limited(&dan.machine.hybrid(&[]), limit, value);
        dan.start(command);
        dan.reaches(&OF_ANN).await;
        let unwatched = dan
            .status_with("the report", |status| {
                status["unwatched"].as_object().filter(|dirs| !dirs.is_empty()).cloned()
            })
            .await;
        assert!(dan.log().contains("looking every"), "{unwatched:?}");
        // Also the last message of a worker, to an unknown name.
        ann.ok(&["worker", "create", "a task", "--repo", "app", "--name", "wolf"]);
        ann.registers("wolf-ann").await;
        dan.send("fox", "fox-ann", limit);
        dan.send("fox", "wolf-ann", limit);
        assert!(dan.multiclaude(Some("fox"), &["agent", "complete"]).status.success());
        ann.receives("fox", limit).await;
        ann.receives("wolf", limit).await;
        for site in [&mut dan, &mut ann] {
            site.machine.run(&["leave", &world.repo]).exits(0);
        }
    }
}

#[tokio::test]
async fn a_messages_directory_that_is_swapped_or_created_again_is_still_watched() {
    let (dan, ann, _) = reaching(&[], &[]).await;
    let messages = dan.machine.path(".multiclaude/messages");
    let aside = dan.machine.path("aside");
    std::fs::rename(&messages, &aside).unwrap();
    dan.reaches(&OF_ANN).await;
    dan.send("fox", "fox-ann", "through the new one");
    ann.receives("fox", "through the new one").await;
    // A link in its place, swapped in one step.
    let draft = dan.machine.path("draft");
    std::fs::remove_dir_all(&aside).unwrap();
    std::fs::create_dir_all(&aside).unwrap();
    std::os::unix::fs::symlink(&aside, &draft).unwrap();
    renameat_with(CWD, &draft, CWD, &messages, RenameFlags::EXCHANGE).unwrap();
    std::fs::remove_dir_all(&draft).unwrap();
    dan.reaches(&OF_ANN).await;
    dan.send("fox", "fox-ann", "through the link");
    ann.receives("fox", "through the link").await;
}
