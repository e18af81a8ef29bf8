//! Roles that one machine serves for all, with agents in tmux windows.

use e2e::process::{LIMIT, output};
use e2e::{Site, World, eventually, shared, until};
use serde_json::Value;
use std::fs;

/// Dan's machine with windows; Ann serves the merge-queue.
async fn served_by_ann() -> (Site, Site, World) {
    let world = shared().await.world().await;
    let mut dan = Site::with_tmux(&world, &world.tokens[0], "dan");
    let mut ann = Site::new(&world, &world.tokens[1], "ann");
    ann.start_bridge(&["--serve", "merge-queue"]);
    ann.reaches(&[]).await;
    dan.bridge(&["--time-scale", "20"], &["supervisor-ann", "fox-ann"]).await;
    (dan, ann, world)
}

fn state(site: &Site) -> Value {
    serde_json::from_slice(&fs::read(site.machine.path(".multiclaude/state.json")).unwrap())
        .unwrap()
}

fn tmux(site: &Site, args: &[&str]) -> String {
    let mut command = site.machine.command("tmux");
    String::from_utf8(output(command.args(args), b"", LIMIT).stdout).unwrap()
}

fn has(site: &Site, agent: &str) -> bool {
    !state(site)["repos"]["app"]["agents"][agent].is_null()
}

fn windows(site: &Site) -> String {
    tmux(site, &["list-windows", "-t", "=mc-app", "-F", "#{window_name}"])
}

#[tokio::test]
async fn the_name_of_a_stood_down_role_means_the_remote_one_and_the_local_one_can_come_back() {
    let (mut dan, ann, _) = served_by_ann().await;
    // A name in the local state wins.
    dan.send("fox", "merge-queue", "to my own");
    assert!(!dan.messages("merge-queue").is_symlink());
    let before = state(&dan)["repos"]["app"]["agents"]["merge-queue"].clone();
    let down = dan.machine.run(&["stand-down", "merge-queue"]).exits(0);
    assert!(down.stdout.contains("ann serves it"), "{down:?}");
    assert!(!has(&dan, "merge-queue") && !windows(&dan).contains("merge-queue"));
    assert_eq!(state(&dan)["repos"]["app"]["merge_queue_config"]["enabled"], false);
    dan.reaches(&["merge-queue"]).await;
    dan.send("fox", "merge-queue", "to the team's");
    assert_eq!(ann.receives("merge-queue", "to the team's").await["from"], "fox-dan");

    // Restarts of daemon and bridge change nothing.
    dan.ok(&["stop"]);
    dan.ok(&["start"]);
    dan.kill_bridge();
    dan.bridge(&[], &["merge-queue"]).await;
    dan.ok(&["repair"]);
    assert!(!has(&dan, "merge-queue") && dan.messages("merge-queue").is_symlink());
    dan.send("default", "merge-queue", "still the team's");
    ann.receives("merge-queue", "still the team's").await;

    let up = dan.machine.run(&["stand-up", "merge-queue"]).exits(0);
    assert!(up.stdout.contains("ann serves it too"), "{up:?}");
    let after = state(&dan)["repos"]["app"]["agents"]["merge-queue"].clone();
    assert_eq!((&after["session_id"], &after["type"]), (&before["session_id"], &before["type"]));
    assert!(windows(&dan).contains("merge-queue"));
    until("its name means the local one", async || !dan.messages("merge-queue").is_symlink()).await;
    dan.send("fox", "merge-queue", "mine again");
    until("it is here", async || {
        dan.files("merge-queue").iter().any(|file| file["body"] == "mine again")
    })
    .await;
    assert!(has(&dan, "merge-queue"));
}

#[tokio::test]
async fn a_stood_down_supervisor_that_comes_back_with_a_lost_session_stands_down_again() {
    let (mut dan, ann, _) = served_by_ann().await;
    let down = dan.machine.run(&["stand-down", "supervisor"]);
    assert!(down.stdout.contains("NO machine serves it"), "{down:?}");
    dan.reaches(&["supervisor"]).await;
    // The session is lost, and the daemon notices.
    tmux(&dan, &["kill-session", "-t", "=mc-app"]);
    dan.send("default", "supervisor-ann", "written meanwhile");
    dan.ok(&["cleanup"]);
    until("it came back and went again", async || {
        dan.log().contains("it came back; stood down again")
    })
    .await;
    until("it is gone", async || !has(&dan, "supervisor")).await;
    ann.receives("supervisor", "written meanwhile").await;
    // Messages of the daemon to it are not sent.
    assert!(!ann.files("supervisor").iter().any(|file| file["from"] == "daemon"));
}

#[tokio::test]
async fn a_second_server_of_a_role_is_refused_with_the_name_of_the_first() {
    let (mut dan, ann, _) = served_by_ann().await;
    dan.kill_bridge();
    dan.bridge(&["--serve", "merge-queue"], &["fox-ann"]).await;
    let reason = dan
        .status_with("the refusal", |status| {
            status["repos"][0]["not_registered"]["merge-queue"].as_str().map(str::to_owned)
        })
        .await;
    assert!(reason.contains("ann"), "{reason}");
    drop(ann);
}

#[tokio::test]
async fn an_agent_whose_claude_has_exited_counts_as_stopped() {
    let world = shared().await.world().await;
    let mut dan = Site::with_tmux(&world, &world.tokens[0], "dan");
    let status =
        async |name: &str| world.dan.agent(name).await.ok().map(|agent| agent.status.as_str());
    // The shell has to start a claude first.
    until("claude runs", async || {
        tmux(&dan, &["capture-pane", "-p", "-t", "=mc-app:=fox"]).contains("claude --session-id")
    })
    .await;
    dan.start_bridge(&["--time-scale", "20"]);
    until("fox is active", async || status("fox-dan").await == Some("active")).await;
    tmux(&dan, &["send-keys", "-t", "=mc-app:=fox", "C-c"]);
    until("fox is stopped", async || status("fox-dan").await == Some("stopped")).await;
    assert_eq!(status("supervisor-dan").await, Some("active"));
}

#[tokio::test]
async fn the_agents_of_a_lost_session_are_stopped_and_stay_registered() {
    let (mut dan, ann, world) = served_by_ann().await;
    dan.status_with("a minute has passed", |status| {
        let agents = status["repos"][0]["agents"].as_array()?;
        agents.iter().any(|agent| agent["status"] != "stopped").then_some(())
    })
    .await;
    tmux(&dan, &["kill-session", "-t", "=mc-app"]);
    dan.ok(&["cleanup"]);
    assert!(!has(&dan, "fox"));
    ann.send("fox", "fox-dan", "are you gone?");
    let is_held = |status: &Value| {
        let held = status["repos"][0]["held"].as_array()?;
        held.iter()
            .find(|held| held["to"] == "fox" && held["reason"] == "fox is not running here")
            .map(|held| (status["pid"].clone(), held["id"].as_str().unwrap().to_owned()))
    };
    let (pid, id) = dan.status_with("it is held", is_held).await;
    let before = eventually("fox counts as stopped", || async {
        Some(world.dan.agent("fox-dan").await.unwrap())
            .filter(|agent| agent.status.as_str() == "stopped")
    })
    .await;
    dan.stop_bridge();
    dan.start_bridge(&["--time-scale", "20"]);
    let by_another = |status: &Value| is_held(status).filter(|(now, _)| *now != pid);
    dan.status_with("the next bridge holds it", by_another).await;
    dan.machine.run(&["bridge", "refuse", &id, "--reason", "it is away"]).exits(0);
    ann.bodies_with("fox", "fox-dan", "it is away").await;
    // A worker that ends normally is deregistered in the same time.
    dan.ok(&["worker", "create", "a task", "--repo", "app", "--name", "wolf"]);
    eventually("wolf is there", || async { world.dan.agent("wolf-dan").await.ok() }).await;
    dan.ok(&["worker", "rm", "wolf", "--repo", "app"]);
    eventually("wolf has ended", || async { world.dan.agent("wolf-dan").await.err() }).await;
    assert_eq!(world.dan.agent("fox-dan").await.unwrap().id, before.id);
}

#[tokio::test]
async fn a_workspace_that_comes_back_under_another_name_keeps_its_registration_and_messages() {
    let (dan, ann, world) = served_by_ann().await;
    let before = world.dan.agent("workspace-dan").await.unwrap();
    // multiclaude restores a workspace only if its worktree is gone, too.
    fs::remove_dir_all(dan.worktree("default")).unwrap();
    tmux(&dan, &["kill-session", "-t", "=mc-app"]);
    dan.ok(&["cleanup"]);
    assert!(!has(&dan, "default") && has(&dan, "workspace"));
    ann.send("default", "workspace-dan", "to the same workspace");
    dan.receives("workspace", "to the same workspace").await;
    assert_eq!(world.dan.agent("workspace-dan").await.unwrap().id, before.id);
}
