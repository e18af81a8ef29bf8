//! Sending, answering and acknowledging between two machines.

use super::{OF_ANN, OF_DAN, bridged, two};
use e2e::{Machine, Site, eventually, shared, until};
use serde_json::json;
use std::fs;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn agents_of_the_same_name_write_to_each_other_and_answers_go_back_to_their_senders() {
    let (mut dan, mut ann, world) = two().await;
    dan.start_bridge(&[]);
    dan.reaches(&[]).await;
    ann.bridge(&[], &OF_DAN).await;
    ann.send("fox", "fox-dan", "from fox to fox");
    let got = dan.receives("fox", "from fox to fox").await;
    assert_eq!(
        (&got["from"], &got["to"], &got["status"]),
        (&json!("fox-ann"), &json!("fox"), &json!("delivered"))
    );
    // The answer's link was made before the file, although dan's list is older.
    dan.send("fox", got["from"].as_str().unwrap(), "and back");
    assert_eq!(ann.receives("fox", "and back").await["from"], "fox-dan");
    dan.send("default", "workspace-ann", "to the workspace");
    assert_eq!(ann.receives("default", "to the workspace").await["from"], "workspace-dan");

    let names: Vec<_> =
        world.ann.agents("").await.unwrap().iter().map(|agent| agent.name.to_string()).collect();
    for name in OF_DAN.iter().chain(&OF_ANN) {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn list_read_and_ack_work_on_a_remote_message_and_its_sender_sees_the_acknowledgement() {
    let (dan, ann, world) = bridged(&[]).await;
    dan.send("fox", "fox-ann", "please look");
    let got = ann.receives("fox", "please look").await;
    let id = got["id"].as_str().unwrap();
    let listed = ann.multiclaude(Some("fox"), &["message", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("please look"));
    let receipt = async || world.dan.receipt(id).await.unwrap();
    until("the delivery", async || receipt().await.status.as_str() == "delivered").await;
    assert!(ann.multiclaude(Some("fox"), &["message", "read", id]).status.success());
    assert!(ann.multiclaude(Some("fox"), &["message", "ack", id]).status.success());
    until("the acknowledgement", async || receipt().await.status.as_str() == "acked").await;
}

#[tokio::test]
async fn a_message_to_an_unknown_name_is_returned_and_one_to_a_new_agent_arrives() {
    let (dan, ann, _) = bridged(&[]).await;
    dan.send("fox", "nobody", "hello?");
    let notice = eventually("the notice", || async {
        dan.files("fox").into_iter().find(|file| file["from"] == "multiclaude-hybrid")
    })
    .await;
    let body = notice["body"].as_str().unwrap();
    assert!(body.contains("no agent called nobody") && body.contains("It said: hello?"), "{body}");
    // Dan's bridge does not know this agent yet.
    ann.ok(&["worker", "create", "a task", "--repo", "app", "--name", "wolf"]);
    ann.registers("wolf-ann").await;
    dan.send("fox", "wolf-ann", "welcome");
    assert_eq!(ann.receives("wolf", "welcome").await["from"], "fox-dan");
}

#[tokio::test]
async fn control_characters_are_stripped_from_the_file_and_stay_in_the_original() {
    let (_dan, ann, world) = bridged(&[]).await;
    let body = json!({"from": "fox-dan", "to": "fox-ann", "body": "a\u{1b}[201~b\u{202e}c\n\u{61c}\u{e0041}d"});
    let sent = world.dan.send(&body, None).await.unwrap();
    assert_eq!(ann.receives("fox", "a[201~bc\nd").await["id"], sent.id.to_string());
    let placed = format!(
        ".multiclaude-hybrid/bridge/repos/{}/inbox/fox/placed/{}.json",
        world.repo, sent.id
    );
    // The stage changes after the file is written.
    let original =
        eventually("the original", || async { fs::read_to_string(ann.machine.path(&placed)).ok() });
    assert!(original.await.contains("\\u001b[201~"));
}

#[tokio::test]
async fn one_bridge_runs_per_home_and_it_ends_within_five_seconds_with_its_agents_stopped() {
    let (mut dan, _ann, world) = bridged(&[]).await;
    let second = dan.machine.run(&["bridge", "run"]).exits(1);
    assert!(
        second.stderr.contains("running already") && second.stderr.contains("bridge status"),
        "{second:?}"
    );
    let took = dan.stop_bridge();
    assert!(took.as_secs() < 5, "{took:?}");
    for agent in world.dan.agents("owner=dan").await.unwrap() {
        assert_eq!(agent.status.as_str(), "stopped", "{agent:?}");
    }
    assert_eq!(dan.status()["running"], false);
}

#[tokio::test]
async fn after_its_directory_was_removed_and_created_again_a_home_goes_on_as_before() {
    let (mut dan, ann, world) = bridged(&[]).await;
    let before = world.dan.agents("owner=dan").await.unwrap();
    dan.ok(&["stop"]);
    ann.send("fox", "supervisor-dan", "while you were away");
    // In one step: the bridge may create directories again.
    fs::rename(dan.machine.path(".multiclaude"), dan.machine.path("removed")).unwrap();
    dan.kill_bridge();
    dan.ok(&["start"]);
    dan.ok(&["repo", "init", &format!("https://github.com/{}", world.repo), "app"]);
    dan.machine.run_with(&["login", "--url", &world.url], &world.tokens[0]).exits(0);
    dan.machine.run(&["config", &world.repo, "--hybrid=true"]);
    dan.bridge(&[], &OF_ANN).await;
    dan.receives("supervisor", "while you were away").await;
    let after = world.dan.agents("owner=dan").await.unwrap();
    let id = |agents: &[multiclaude_hybrid_protocol::agent::Agent]| {
        agents
            .iter()
            .find(|agent| agent.name.as_str() == "supervisor-dan")
            .map(|agent| agent.id.clone())
    };
    assert!(id(&before).is_some() && id(&before) == id(&after));
}

#[tokio::test]
async fn with_encryption_the_coordinator_sees_no_text_and_agents_see_the_plain_text() {
    let (mut dan, mut ann, world) = two().await;
    let mut ci = Machine::new();
    ci.run_with(&["login", "--url", &world.url], &world.tokens[2]).exits(0);
    ci.run(&["config", &world.repo, "--encrypt=always"]).exits(0);
    ann.start_bridge(&[]);
    ann.reaches(&[]).await;
    dan.bridge(&[], &OF_ANN).await;
    dan.send("fox", "fox-ann", "the wombat flies at noon");
    let got = ann.receives("fox", "the wombat flies at noon").await;
    ann.send("fox", got["from"].as_str().unwrap(), "the wombat has landed");
    dan.receives("fox", "the wombat has landed").await;
    let stored = world.ann.messages("fox-ann", "").await.unwrap();
    assert!(stored[0].body.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{stored:?}");
    // The list of Ann's bridge is older than this worker.
    dan.ok(&["worker", "create", "a task", "--repo", "app", "--name", "owl"]);
    dan.registers("owl-dan").await;
    ann.send("fox", "owl-dan", "the wombat sleeps");
    dan.receives("owl", "the wombat sleeps").await;
    // For an unknown name, that is the reason, and not its missing key.
    ann.send("fox", "nobody-dan", "the wombat dreams");
    let notice = ann.bodies_with("fox", "multiclaude-hybrid", "the wombat dreams").await;
    assert!(notice.contains("no agent called nobody-dan is registered"), "{notice}");
}

#[tokio::test]
async fn a_repo_that_is_removed_and_initialized_again_has_stopped_and_active_agents_at_once() {
    let world = shared().await.world().await;
    let mut dan = Site::with_tmux(&world, &world.tokens[0], "dan");
    dan.start_bridge(&[]);
    let shows = async |status: &'static str| {
        let shown = until(status, async || {
            let agents = world.dan.agents("owner=dan").await.unwrap();
            let is = |name: &str| {
                agents
                    .iter()
                    .any(|agent| agent.name.as_str() == name && agent.status.as_str() == status)
            };
            is("supervisor-dan") && is("merge-queue-dan")
        });
        // Before the next heartbeat that the clock asks for.
        timeout(Duration::from_secs(40), shown).await.expect("it is shown at once");
    };
    shows("active").await;
    dan.ok(&["repo", "rm", "app"]);
    shows("stopped").await;
    fs::remove_dir_all(dan.machine.path(".multiclaude/repos/app")).unwrap();
    dan.ok(&["repo", "init", &format!("https://github.com/{}", world.repo), "app"]);
    shows("active").await;
}
