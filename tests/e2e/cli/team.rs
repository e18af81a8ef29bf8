//! `config`, `list`, `invite`, `join`, `leave`, `prompt`, `doctor`.

use super::beside::{settings, team_runs};
use super::{dans, on_machine, snapshot};
use crate::agent;
use e2e::{Machine, shared};
use serde_json::json;

#[tokio::test]
async fn a_repo_is_configured_here_without_a_token_and_for_all_by_a_service() {
    let (mut machine, world) = dans().await;
    let repo = world.repo.as_str();
    machine.run(&["config", repo]);
    machine.run(&["config", repo, "--hybrid=false"]);
    machine.run(&["config", repo, "--remote-agents=merge-queue,supervisor"]);
    machine.run(&["config", repo, "--encrypt=sometimes"]);
    machine.run(&["config", repo, "--node=Not a label"]);
    machine.run(&["config", repo, "--api-endpoint=http://example.com"]);
    machine.run(&["config", "nonsense"]);
    snapshot("config", &machine);
    let mut service = on_machine(&world, &world.tokens[2], "ci");
    let flags = "--node=box --hybrid=true --remote-agents=merge-queue,supervisor --max-workers=3";
    service.line(&format!("config {repo} {flags}"));
    service.run(&["config", repo, "--json"]);
    snapshot("config_of_a_service", &service);
    machine.clear();
    machine.multiclaude(
        &format!("https://github.com/{repo}"),
        &[("default", "workspace"), ("fox", "worker"), ("supervisor", "supervisor")],
    );
    machine.run(&["config", "app", "--hybrid=true"]);
    snapshot("config_with_multiclaude", &machine);
}

#[tokio::test]
async fn only_the_first_shared_setting_turns_hybrid_mode_on() {
    let world = shared().await.world().await;
    let mut service = on_machine(&world, &world.tokens[2], "ci");
    let repo = world.repo.as_str();
    let mut enabled = async |args: &[&str]| {
        service.run(&[&["config", repo], args].concat()).exits(0);
        world.ci.config().await.unwrap().value.enabled
    };
    assert!(enabled(&["--max-workers=3"]).await);
    assert!(!enabled(&["--enabled=false"]).await);
    assert!(!enabled(&["--max-workers=4"]).await, "a team's switch is not touched in passing");
    assert!(enabled(&["--enabled=true"]).await);
}

#[tokio::test]
async fn agents_that_were_registered_here_stay_known_under_a_new_label() {
    let (mut machine, world) = dans().await;
    machine.multiclaude(&world.clone_url(), &[("fox", "worker")]);
    machine.enter(".multiclaude/wts/app/fox");
    machine.run(&["agents", "register", "fox-lap", "--type", "worker"]);
    let bridged =
        json!({"name": "elk-lap", "type": "worker", "metadata": {"node": "lap", "bridge": "1"}});
    world.dan.register(&bridged).await.unwrap();
    let changed = machine.run(&["config", "--node=box"]).exits(0);
    assert!(changed.stderr.contains("label box now: fox-lap"), "{changed:?}");
    let node = async |name: &str| world.dan.agent(name).await.unwrap().metadata["node"].clone();
    assert_eq!((node("fox-lap").await, node("elk-lap").await), ("box".into(), "lap".into()));
    let sent = machine.run(&["--json", "send", "fox-lap", "to myself"]);
    assert_eq!(sent.json()["from"], "fox-lap", "{sent:?}");
    // The label is changed even if the coordinator is away, and the agent is still known.
    machine.set("MULTICLAUDE_API_URL", "http://127.0.0.1:1");
    machine.run(&["config", &world.repo, "--node=den"]).exits(0);
    machine.set("MULTICLAUDE_API_URL", "");
    let sent = machine.run(&["--json", "send", "fox-lap", "again"]);
    assert_eq!(sent.json()["from"], "fox-lap", "{sent:?}");
}

#[tokio::test]
async fn an_invitation_lets_another_machine_join_and_leave() {
    let world = shared().await.world().await;
    let mut service = on_machine(&world, &world.tokens[2], "ci");
    let invited = service.run(&["invite", "eve", "--repo", &world.repo, "--expires", "90d"]);
    assert_eq!(invited.stdout.lines().count(), 1);
    service.run(&["invite", "Not A Name", "--repo", &world.repo]);
    snapshot("invite", &service);
    let mut admin = on_machine(&world, &shared().await.admin, "desk");
    admin.run(&["invite", "fay", "--repo", &world.repo]);
    snapshot("invite_by_an_admin", &admin);
    let mut eve = Machine::new();
    eve.run_with(&["join", "--node", "eves"], "hello");
    eve.run_with(&["join", "--node", "eves"], &invited.stdout);
    eve.run(&["whoami"]);
    eve.run(&["agents", "register", "eve-ws", "--type", "workspace"]);
    eve.run(&["config"]);
    let mut twin = Machine::new();
    twin.run_with(&["join", "--node", "eves"], &invited.stdout);
    snapshot("join_with_a_taken_label", &twin);
    eve.run(&["leave"]);
    eve.run(&["whoami"]);
    snapshot("join", &eve);
    assert!(!eve.path(".multiclaude/credentials").exists());
    assert!(world.ci.agents("").await.unwrap().is_empty());
    let (mut dan, world) = dans().await;
    dan.run(&["invite", "ann", "--repo", &world.repo]).exits(4);
    snapshot("invite_by_a_user", &dan);
}

#[tokio::test]
async fn the_audit_log_is_shown_to_services_and_users_get_a_hint() {
    let (mut dan, world) = dans().await;
    world.dan.register(&agent("desk")).await.unwrap();
    let mut service = on_machine(&world, &world.tokens[2], "ci");
    service.set("COLUMNS", "120");
    dan.run(&["audit", "--repo", &world.repo]).exits(4);
    let all = service.run(&["audit", "--json", "--repo", &world.repo]).json();
    let actions: Vec<_> = all.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions.first().unwrap().as_str(), Some("agent.registered"));
    assert!(actions.len() > 2, "{all}");
    service.clear();
    service.run(&["audit", "-n", "2", "--repo", &world.repo]);
    snapshot("audit", &service);
    snapshot("audit_of_a_user", &dan);
}

#[tokio::test]
async fn the_list_and_the_prompt_show_the_names_that_messages_can_go_to() {
    let (mut machine, world) = dans().await;
    machine.multiclaude(&world.clone_url(), &[]);
    machine.install("multiclaude", "#!/bin/sh\necho \"the real list: $*\"\n");
    let queue = json!({"name": "merge-queue", "type": "merge-queue", "location": "remote", "metadata": {"node": "box"}});
    world.ci.register(&queue).await.unwrap();
    let mine = json!({"instance": settings(&machine)["instance"], "name": "fox-lap", "type": "worker", "metadata": {"node": "lap", "local_name": "fox"}});
    world.dan.register(&mine).await.unwrap();
    machine.run(&["list"]);
    machine.run(&["list", "--json"]);
    machine.run(&["prompt", "app"]);
    machine.run(&["config", "app", "--hybrid=false"]);
    machine.run(&["list"]);
    snapshot("list", &machine);
}

#[tokio::test]
async fn the_doctor_reports_each_cause_once() {
    let faults = |machine: &mut Machine| {
        let found = machine.run(&["doctor", "--json"]).json();
        let faults = found.as_array().unwrap().iter().filter(|check| check["state"] == "fault");
        faults.map(|check| check["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // No token, and a hybrid repo.
    let mut machine = Machine::new();
    let world = shared().await.world().await;
    let url = format!("--api-endpoint={}", world.url);
    machine.run(&["config", &world.repo, "--hybrid=true", &url]);
    assert_eq!(faults(&mut machine), ["credentials"]);
    // A token that was revoked, and a repo that it was for.
    machine.run_with(&["login", "--url", &world.url], &world.tokens[0]);
    assert_eq!(faults(&mut machine), [""; 0]);
    let who = machine.run(&["whoami", "--json"]).json();
    let id = who["token_id"].as_str().unwrap();
    world.admin.revoke_token(id).await.unwrap();
    assert_eq!(faults(&mut machine), [format!("token {id}")]);
    // A file that others can read.
    machine.chmod(".multiclaude/credentials", 0o644);
    assert_eq!(faults(&mut machine), ["credentials"]);
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_says_how_to_fix_it() {
    let mut machine = Machine::new();
    machine.run(&["doctor"]);
    let world = shared().await.world().await;
    machine.log_in(&world.url, &world.tokens[0], &world.repo, "lap");
    machine.multiclaude("/srv/git/app.git", &[]);
    machine.set("SHELL", "/bin/sh");
    machine.install("multiclaude", "#!/bin/sh\n");
    let dead = json!({"name": "hooked", "type": "worker", "endpoint": "http://127.0.0.1:1/"});
    world.dan.register(&dead).await.unwrap();
    let twin =
        json!({"name": "twin", "type": "worker", "instance": "other", "metadata": {"node": "lap"}});
    world.ann.register(&twin).await.unwrap();
    team_runs(&world, &["merge-queue"]).await;
    machine.run(&["doctor"]);
    machine.multiclaude(&world.clone_url(), &[]);
    world.dan.deregister("hooked").await.unwrap();
    world.ann.deregister("twin").await.unwrap();
    world.ci.register(&json!({"name": "merge-queue", "type": "merge-queue"})).await.unwrap();
    world.dan.register(&agent("desk")).await.unwrap();
    machine.run(&["shim", "install"]);
    machine.run(&["doctor"]).exits(0);
    snapshot("doctor", &machine);
}
