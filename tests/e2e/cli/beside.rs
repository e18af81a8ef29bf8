//! Beside the real multiclaude: what it, the developer and the team change
//! meanwhile.

use super::dans;
use super::shim::with_shim;
use e2e::{Machine, World, shared};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;

pub(super) fn settings(machine: &Machine) -> Value {
    let text = fs::read(machine.path(".multiclaude/hybrid/settings.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn damage(machine: &Machine) {
    machine.write(".multiclaude/hybrid/settings.json", "{\"node\": ");
}

pub(super) fn called(machine: &Machine) -> String {
    fs::read_to_string(machine.path("called")).unwrap()
}

/// Nothing listens there.
pub(super) const AWAY: &str = "http://127.0.0.1:1/v1";

/// From now on the machine has its token, and all else, for another URL.
pub(super) fn move_coordinator(machine: &Machine, from: &str, to: &str) {
    for file in ["hybrid/settings.json", "credentials"] {
        let path = machine.path(&format!(".multiclaude/{file}"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

pub(super) async fn team_runs(world: &World, roles: &[&str]) {
    let config = json!({"remote_agents": roles, "enabled": true});
    world.ci.configure(&config).await.unwrap();
}

/// From now on a bridge is installed, as far as its unit shows it.
fn install_bridge(machine: &Machine) {
    machine.write(".config/systemd/user/multiclaude-hybrid-bridge.service", "[Service]\n");
}

#[tokio::test]
async fn a_merge_queue_is_started_by_the_machine_that_serves_it_and_by_no_other() {
    let (mut machine, world) = with_shim().await;
    install_bridge(&machine);
    let line = format!("multiclaude init {} app", world.clone_url());
    machine.sh(&line);
    let plain = called(&machine);
    assert!(!plain.contains("--no-merge-queue"), "{plain}");
    world.ci.register(&json!({"name": "merge-queue", "type": "merge-queue"})).await.unwrap();
    let printed = machine.sh(&line);
    assert!(printed.stderr.contains("served by ci"), "{printed:?}");
    assert_eq!(called(&machine), format!("{plain}--no-merge-queue\n"));
    world.ci.deregister("merge-queue").await.unwrap();
    let elsewhere = json!({"name": "merge-queue", "type": "merge-queue", "instance": "box"});
    world.dan.register(&elsewhere).await.unwrap();
    let ran = machine.sh(&line);
    assert!(called(&machine).contains("--no-merge-queue"));
    assert!(ran.stderr.contains("installed here does not run now"), "{ran:?}");
    world.dan.deregister("merge-queue").await.unwrap();
    let instance = settings(&machine)["instance"].clone();
    let ours = json!({"name": "merge-queue", "type": "merge-queue", "instance": instance});
    world.dan.register(&ours).await.unwrap();
    machine.sh(&line);
    assert!(!called(&machine).contains("--no-merge-queue"));
}

#[tokio::test]
async fn a_merge_queue_that_no_machine_serves_is_started_here_with_a_warning() {
    let (mut machine, world) = with_shim().await;
    install_bridge(&machine);
    let line = format!("multiclaude init {}", world.clone_url());
    team_runs(&world, &["merge-queue"]).await;
    let ran = machine.sh(&line);
    assert!(ran.stderr.contains("no machine serves it"), "{ran:?}");
    assert!(!called(&machine).contains("--no-merge-queue"));

    move_coordinator(&machine, &world.url, AWAY);
    let ran = machine.sh(&line);
    assert!(ran.stderr.contains("it is not known whether"), "{ran:?}");
    assert!(ran.stderr.contains("stand-down merge-queue"), "{ran:?}");
    assert!(!called(&machine).contains("--no-merge-queue"));

    damage(&machine);
    let ran = machine.sh(&line).exits(0);
    assert!(ran.stderr.contains("settings.json is damaged"), "{ran:?}");
}

#[tokio::test]
async fn without_a_bridge_the_remote_merge_queue_is_out_of_reach_so_one_is_started_here() {
    let (mut machine, world) = with_shim().await;
    let queue = json!({"name": "merge-queue", "type": "merge-queue"});
    world.ci.register(&queue).await.unwrap();
    let ran = machine.sh(&format!("multiclaude init {}", world.clone_url()));
    assert!(ran.stderr.contains("bridge install"), "{ran:?}");
    assert!(!called(&machine).contains("--no-merge-queue"));
    // Nor does an installed one carry anything while hybrid mode is off.
    install_bridge(&machine);
    machine.run(&["config", &world.repo, "--hybrid=false"]);
    machine.sh(&format!("multiclaude init {}", world.clone_url()));
    assert!(!called(&machine).contains("--no-merge-queue"));
}

#[tokio::test]
async fn repos_without_a_token_here_are_left_out() {
    let (mut machine, world) = with_shim().await;
    machine.run(&["logout"]);
    machine.run_with(&["login", "--url", &world.url], &shared().await.admin);
    let asked = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", asked.local_addr().unwrap());
    move_coordinator(&machine, &world.url, &url);
    let ran = machine.sh("multiclaude init https://github.com/stranger/private");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    asked.set_nonblocking(true).unwrap();
    assert!(asked.accept().is_err(), "the coordinator was asked");
    // Nor is anything said where hybrid mode was never used.
    fs::remove_file(machine.path(".multiclaude/hybrid/settings.json")).unwrap();
    machine.chmod(".multiclaude/hybrid", 0o775);
    let real = machine.sh("multiclaude work 'Fix it'");
    assert_eq!((real.code, real.stderr.as_str()), (0, ""));
}

#[tokio::test]
async fn remote_types_do_not_count_while_the_team_has_hybrid_mode_off() {
    let (mut machine, world) = with_shim().await;
    let config = json!({"remote_agents": ["worker", "merge-queue"], "enabled": false});
    world.ci.configure(&config).await.unwrap();
    machine.sh("multiclaude work 'Fix it'");
    assert_eq!(called(&machine), "work\nFix it\n");
    machine.sh(&format!("multiclaude init {}", world.clone_url()));
    assert!(!called(&machine).contains("--no-merge-queue"));
}

#[tokio::test]
async fn agents_that_run_here_are_local_whatever_the_shared_configuration_says() {
    let (mut machine, world) = dans().await;
    machine.multiclaude(&world.clone_url(), &[("fox", "worker"), ("default", "workspace")]);
    team_runs(&world, &["worker"]).await;
    machine.run(&["config", "app"]);
    move_coordinator(&machine, &world.url, AWAY);
    let shown = machine.run(&["config", "app", "--hybrid=true"]);
    assert!(shown.stdout.contains("Local Agents: workers, workspace\n"), "{shown:?}");
}

#[tokio::test]
async fn the_commands_that_are_printed_work_in_any_directory() {
    let (mut machine, world) = dans().await;
    let asked = machine.run(&["work", "--remote", "Fix it", "--repo", &world.repo]);
    machine.enter("elsewhere");
    // Another repo is known, so none is meant.
    machine.run(&["config", "acme/other", "--hybrid=true"]);
    for line in asked.stdout.lines().filter(|line| line.contains("cancel")) {
        let (_, command) = line.split_once(": ").unwrap();
        machine.sh(command).exits(0);
    }
    assert!(asked.stdout.contains("workers cancel"), "{asked:?}");
}

#[tokio::test]
async fn logging_in_again_forgets_a_token_that_was_revoked() {
    let (mut machine, world) = dans().await;
    // The new one does not reach as far, so it would not replace a valid one.
    let both = [world.repo.clone(), shared().await.world().await.repo];
    let wish = json!({"kind": "user", "owner": "dan", "repos": both});
    let wide = world.admin.create_token(&wish).await.unwrap();
    let ran = machine.run_with(&["login", "--url", &world.url], &wide.token.unwrap());
    let said = "It stays valid until an admin revokes it: multiclaude-hybrid tokens revoke tok_";
    assert!(ran.stderr.contains(said), "{ran:?}");
    machine.run_with(&["login", "--url", &world.url], &world.tokens[0]);
    let count = |machine: &Machine| settings(machine)["logins"].as_array().unwrap().len();
    assert_eq!(count(&machine), 2);
    world.admin.revoke_token(&wide.id.to_string()).await.unwrap();
    machine.run_with(&["login", "--url", &world.url], &world.tokens[0]);
    assert_eq!(count(&machine), 1);
    let kept = fs::read_to_string(machine.path(".multiclaude/credentials")).unwrap();
    assert!(!kept.contains(&wide.id.to_string()), "{kept}");
}

#[tokio::test]
async fn damaged_settings_keep_neither_the_doctor_nor_the_shim() {
    let (mut machine, _) = with_shim().await;
    damage(&machine);
    let report = machine.run(&["doctor"]).exits(1);
    assert!(report.stdout.contains("settings.json is damaged"), "{report:?}");
    assert!(report.stdout.contains("hint: fix it, or start again"), "{report:?}");
    machine.run(&["shim", "install"]).exits(0);
    machine.run(&["shim", "uninstall"]).exits(0);
    assert!(!machine.path(".multiclaude/hybrid/shim/multiclaude").exists());
    machine.run(&["whoami"]).exits(1);
}

#[tokio::test]
async fn the_doctor_names_a_coordinator_that_hangs_once_and_asks_no_further() {
    let (mut machine, world) = dans().await;
    machine.run_with(&["login", "--url", &world.url], &world.tokens[1]);
    // It takes connections and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", hanging.local_addr().unwrap());
    move_coordinator(&machine, &world.url, &url);
    let report = machine.run(&["doctor", "--timeout", "1"]).stdout;
    assert_eq!(report.matches("does not answer").count(), 1, "{report}");
    hanging.set_nonblocking(true).unwrap();
    let connections = hanging.incoming().take_while(Result::is_ok).count();
    // One for each of the two tokens, and none for the repo.
    assert_eq!(connections, 2);
    assert!(!report.contains(&format!("repo {}", world.repo)), "{report}");
}

#[tokio::test]
async fn the_doctor_sees_two_merge_queues() {
    let (mut machine, world) = dans().await;
    machine.multiclaude(&world.clone_url(), &[("merge-queue", "merge-queue")]);
    let report = machine.run(&["doctor"]).stdout;
    assert!(!report.contains("a merge-queue runs here"), "{report}");
    let queue = json!({"name": "merge-queue", "type": "merge-queue"});
    // Dan's own, registered by hand: it may be the one here.
    world.dan.register(&queue).await.unwrap();
    let report = machine.run(&["doctor"]).stdout;
    assert!(!report.contains("a merge-queue runs here"), "{report}");
    world.dan.deregister("merge-queue").await.unwrap();
    world.ci.register(&queue).await.unwrap();
    let report = machine.run(&["doctor"]).stdout;
    assert!(report.contains("a merge-queue runs here, and ci serves one"), "{report}");
}

#[tokio::test]
async fn a_message_is_refused_where_it_is_not_known_which_repo_it_is_of() {
    let (mut machine, _) = with_shim().await;
    machine.multiclaude("/srv/git/app.git", &[("fox", "worker")]);
    machine.enter(".multiclaude/repos/app");
    machine.sh("multiclaude message send fox hi").exits(0);
    assert!(called(&machine).contains("fox"));
    let refused = machine.sh("multiclaude message send merge-queue hi").exits(1);
    assert!(refused.stderr.contains("config app --name=owner/repo"), "{refused:?}");
    machine.write(".multiclaude/state.json", "{");
    let refused = machine.sh("multiclaude message send fox hi");
    assert!(refused.code == 1 && refused.stderr.contains("is damaged"), "{refused:?}");
}

#[tokio::test]
async fn a_stopped_agent_does_not_serve_a_role() {
    let (mut machine, world) = dans().await;
    team_runs(&world, &["merge-queue"]).await;
    let queue = json!({"name": "merge-queue", "type": "merge-queue"});
    world.ci.register(&queue).await.unwrap();
    let unserved = "merge-queue is to run remotely, and no running agent serves it";
    assert!(!machine.run(&["doctor"]).stdout.contains(unserved));
    world.ci.update("merge-queue", &json!({"status": "stopped"})).await.unwrap();
    let report = machine.run(&["doctor"]).stdout;
    assert!(report.contains(unserved), "{report}");
}
