//! The same binary, called `multiclaude`: the requirements' lines as they are
//! written, from `sh -c` in a worktree.

use super::beside::{called, team_runs};
use super::{dans, snapshot};
use e2e::{Machine, World};
use serde_json::json;

/// Writes down how it was called, and answers.
const STAND_IN: &str = "#!/bin/sh\nfor arg in \"$@\"; do printf '%s\\n' \"$arg\"; done > \"$HOME/called\"\necho \"the real multiclaude $1\"\n";

/// A machine with the shim in front of a stand-in for the real program.
pub(super) async fn with_shim() -> (Machine, World) {
    let (mut machine, world) = dans().await;
    machine.install("multiclaude", STAND_IN);
    machine.multiclaude(&world.clone_url(), &[("fox", "worker"), ("default", "workspace")]);
    machine.set("SHELL", "/bin/bash");
    machine.run(&["shim", "install"]).exits(0);
    let shim = machine.path(".multiclaude/hybrid/shim");
    let bin = machine.path("bin");
    machine.set("PATH", &format!("{}:{}:/usr/bin:/bin", shim.display(), bin.display()));
    machine.enter(".multiclaude/wts/app/fox");
    machine.clear();
    (machine, world)
}

#[tokio::test]
async fn the_lines_of_the_requirements_work_as_written() {
    let (mut machine, world) = with_shim().await;
    let origin = world.url.trim_end_matches("/v1").to_owned();
    team_runs(&world, &["merge-queue", "supervisor"]).await;
    machine.sh(&format!("multiclaude config app --hybrid=true --api-endpoint={origin}"));
    assert!(!machine.path("called").exists(), "the real program was asked");
    machine.sh("multiclaude config app");
    machine.sh("multiclaude work --remote \"Fix auth bug\"");
    machine.sh("multiclaude list");
    snapshot("shim", &machine);
    let requests = world.ci.typed().workers(None).await.unwrap();
    assert_eq!(requests[0].task, "Fix auth bug");
}

#[tokio::test]
async fn a_message_to_a_name_that_is_not_here_goes_by_hybrid_send_or_is_refused_where_no_bridge_runs()
 {
    let (mut machine, world) = with_shim().await;
    world.ci.register(&json!({"name": "merge-queue", "type": "merge-queue"})).await.unwrap();
    let metadata = json!({"node": "lap", "local_name": "fox"});
    let fox = json!({"name": "fox-lap", "type": "worker", "metadata": metadata});
    world.dan.register(&fox).await.unwrap();
    let sent = machine.sh("multiclaude message send merge-queue 'it is \"done\"'").exits(0);
    assert!(sent.stdout.contains("fox-lap to merge-queue in"), "{sent:?}");
    assert!(!machine.path("called").exists());
    let waiting = world.ci.messages("merge-queue", "").await.unwrap();
    assert_eq!(
        (waiting[0].from.to_string().as_str(), waiting[0].body.as_str()),
        ("fox-lap", "it is \"done\"")
    );
    for (line, why) in [
        ("multiclaude message send nobody hi", "404"),
        ("multiclaude message send ../../x hi", "may hold only"),
    ] {
        let refused = machine.sh(line);
        assert!(refused.code != 0 && refused.stderr.contains(why), "{refused:?}");
        assert!(!machine.path("called").exists());
    }
    machine.sh("multiclaude message send fox 'it is \"done\"'").exits(0);
    assert_eq!(called(&machine), "message\nsend\nfox\nit is \"done\"\n");
}

#[tokio::test]
async fn plain_work_is_remote_where_the_team_says_so_even_when_the_coordinator_cannot_be_asked() {
    let (mut machine, world) = with_shim().await;
    team_runs(&world, &["worker"]).await;
    let asked = machine.sh("multiclaude work 'Fix it'");
    assert!(asked.stdout.contains("spn_"), "{asked:?}");
    assert!(asked.stderr.contains("--local starts one here"), "{asked:?}");
    assert!(!machine.path("called").exists());
    let named = machine.sh("multiclaude worker create 'Fix it' --name swift-fox").exits(2);
    assert!(named.stderr.contains("work --local"), "{named:?}");
    // Port 1 answers nothing.
    machine.set("MULTICLAUDE_API_URL", "http://127.0.0.1:1");
    machine.sh("multiclaude work 'Fix it'");
    assert!(!machine.path("called").exists());
    machine.sh("multiclaude work --local 'Fix it'");
    assert_eq!(called(&machine), "work\nFix it\n");
}
