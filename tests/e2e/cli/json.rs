//! `--json`: one value of JSON from every command that prints.

use super::{dans, on_machine, snapshot};
use e2e::{Machine, Ran, shared};
use serde_json::Value;

/// Runs a command with `--json`; what it printed is one JSON value.
fn json(machine: &mut Machine, args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    let ran: Ran = machine.run(&args);
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran.json()
}

#[tokio::test]
async fn every_command_that_prints_prints_json_for_programs() {
    let world = shared().await.world().await;
    let repo = world.repo.as_str();
    let mut dan = Machine::new();
    dan.run_with(&["login", "--url", &world.url, "--json"], &world.tokens[0]);
    json(&mut dan, &["config", repo, "--hybrid=true", "--node=lap"]);
    json(&mut dan, &["whoami"]);
    json(&mut dan, &["whoami", "--all"]);
    json(&mut dan, &["agents", "register", "desk", "--type", "workspace"]);
    json(&mut dan, &["agents"]);
    json(&mut dan, &["list"]);
    json(&mut dan, &["prompt"]);
    let sent = json(&mut dan, &["send", "--thread", "t1", "desk", "hello"]);
    let id = sent["id"].as_str().unwrap().to_owned();
    json(&mut dan, &["inbox"]);
    json(&mut dan, &["ack", &id]);
    json(&mut dan, &["receipt", &id]);
    dan.run(&["agents", "show", "nobody", "--json"]);
    json(&mut dan, &["keys"]);
    json(&mut dan, &["keys", "trust", "desk"]);
    json(&mut dan, &["keys", "forget", "desk"]);
    let asked = json(&mut dan, &["work", "--remote", "Fix it"]);
    let id = asked["id"].as_str().unwrap().to_owned();
    json(&mut dan, &["workers"]);
    json(&mut dan, &["workers", "cancel", &id]);
    json(&mut dan, &["doctor"]);
    json(&mut dan, &["shim", "install"]);
    json(&mut dan, &["shim", "uninstall"]);
    json(&mut dan, &["agents", "remove", "desk"]);
    json(&mut dan, &["leave", repo]);
    snapshot("json", &dan);
}

#[tokio::test]
async fn commands_for_admins_print_json_too() {
    let (_, world) = dans().await;
    let admin = shared().await.admin.clone();
    let mut machine = on_machine(&world, &admin, "ops");
    let made = json(&mut machine, &["tokens", "create", "--owner", "eve", "--repo", &world.repo]);
    json(&mut machine, &["tokens", "revoke", made["id"].as_str().unwrap()]);
    let invited = json(&mut machine, &["invite", "eve", "--repo", &world.repo]);
    let mut eve = Machine::new();
    eve.run_with(&["join", "--node", "eves", "--json"], invited["invitation"].as_str().unwrap());
    json(&mut eve, &["logout"]);
    snapshot("json_of_an_admin", &machine);
    snapshot("json_of_joining", &eve);
}
