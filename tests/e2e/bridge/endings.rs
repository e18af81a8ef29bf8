//! Agents that end at the worst moment.

use super::{bridged, reaching, two};
use e2e::{eventually, until};

#[tokio::test]
async fn a_message_that_a_worker_writes_just_before_its_end_arrives() {
    let (dan, ann, world) = bridged(&["--time-scale", "10"]).await;
    for round in 0..5 {
        let name = format!("wolf{round}");
        dan.ok(&["worker", "create", "a task", "--repo", "app", "--name", &name]);
        // One name is linked, the other is not known here.
        let late = format!("late{round}-ann");
        ann.ok(&["worker", "create", "a task", "--repo", "app", "--name", &format!("late{round}")]);
        ann.registers(&late).await;
        let last = format!("my last words {round}");
        dan.send(&name, "fox-ann", &last);
        dan.send(&name, &late, &last);
        let done = dan.multiclaude(Some(&name), &["agent", "complete", "--summary", "done"]);
        assert!(done.status.success(), "{done:?}");
        let from = format!("{name}-dan");
        assert_eq!(ann.receives("fox", &last).await["from"], from);
        assert_eq!(ann.receives(&format!("late{round}"), &last).await["from"], from);
    }
    // Some time after its end a worker is no longer registered.
    until("the workers are deregistered", async || {
        let agents = world.dan.agents("owner=dan").await.unwrap();
        agents.iter().all(|agent| !agent.name.as_str().starts_with("wolf"))
    })
    .await;
}

#[tokio::test]
async fn the_message_of_a_worker_that_started_and_ended_while_the_bridge_was_away_arrives() {
    let (mut dan, ann, _) = bridged(&[]).await;
    dan.stop_bridge();
    dan.ok(&["worker", "create", "a task", "--repo", "app", "--name", "wolf"]);
    dan.send("wolf", "fox-ann", "while the bridge was away");
    let done = dan.multiclaude(Some("wolf"), &["agent", "complete"]);
    assert!(done.status.success(), "{done:?}");
    until("wolf is gone", async || !dan.worktree("wolf").exists()).await;
    dan.start_bridge(&[]);
    assert_eq!(ann.receives("fox", "while the bridge was away").await["from"], "wolf-dan");
}

#[tokio::test]
async fn a_completion_notice_reaches_a_supervisor_that_another_machine_serves() {
    let (mut dan, mut ann, _) = two().await;
    ann.start_bridge(&["--serve", "supervisor"]);
    ann.reaches(&[]).await;
    let state = dan.machine.path(".multiclaude/daemon.sock");
    // The local supervisor stands down, so that the name means Ann's.
    let remove = serde_json::json!({"command": "remove_agent", "args": {"repo": "app", "agent": "supervisor"}});
    let mut socket = std::os::unix::net::UnixStream::connect(state).unwrap();
    std::io::Write::write_all(&mut socket, format!("{remove}\n").as_bytes()).unwrap();
    dan.bridge(&[], &["supervisor", "fox-ann"]).await;
    let done = dan.multiclaude(Some("fox"), &["agent", "complete", "--summary", "done"]);
    assert!(done.status.success(), "{done:?}");
    let got = ann.receives("supervisor", "Worker 'fox' has completed its task: a task").await;
    assert_eq!(got["from"], "fox-dan");
}

#[tokio::test]
async fn a_worker_gets_no_messages_of_its_predecessor_and_the_sender_is_notified() {
    let (mut dan, ann, world) = reaching(&["--time-scale", "4"], &[]).await;
    dan.ok(&["worker", "rm", "fox", "--repo", "app"]);
    ann.send("fox", "fox-dan", "for the first fox");
    dan.status_with("it is held", |status| {
        let held = status["repos"][0]["held"].as_array()?;
        held.iter().any(|held| held["to"] == "fox").then_some(())
    })
    .await;
    let first = world.dan.agent("fox-dan").await.unwrap().id;
    dan.ok(&["worker", "create", "another task", "--repo", "app", "--name", "fox"]);
    let notice = eventually("the notice", || async {
        ann.files("fox").into_iter().find(|file| file["from"] == "fox-dan")
    })
    .await;
    assert!(notice["body"].as_str().unwrap().contains("was not seen by fox-dan"), "{notice}");
    eventually("the second fox is registered", || async {
        world.dan.agent("fox-dan").await.ok().filter(|agent| agent.id != first)
    })
    .await;
    ann.send("fox", "fox-dan", "for the second fox");
    dan.receives("fox", "for the second fox").await;
    assert_eq!(dan.bodies("fox", "fox-ann"), ["for the second fox"]);
    dan.stop_bridge();
}
