//! What multiclaude's names mean, and what changes that.

use super::beside::settings;
use super::dans;
use super::shim::with_shim;
use e2e::{Machine, shared};
use serde_json::json;
use std::fs;

/// multiclaude's state: nicknames and what was cloned.
fn clones(machine: &Machine, clones: &[(&str, &str)]) {
    let repo = |(name, url): &(&str, &str)| ((*name).to_owned(), json!({ "github_url": url }));
    let repos: serde_json::Map<_, _> = clones.iter().map(repo).collect();
    let state = json!({ "repos": repos });
    machine.write(".multiclaude/state.json", &state.to_string());
}

#[tokio::test]
async fn a_name_that_multiclaude_gave_to_another_clone_no_longer_means_the_first() {
    let (mut machine, world) = dans().await;
    let other = shared().await.world().await.repo;
    clones(&machine, &[("path", "/srv/git/app.git")]);
    machine.run(&["config", "path", &format!("--name={}", world.repo)]);
    let listed = machine.run(&["list"]).stdout;
    assert!(listed.contains(&format!("path ({}): on", world.repo)));
    clones(&machine, &[("path", &format!("https://github.com/{other}"))]);
    let listed = machine.run(&["list"]).stdout;
    assert!(listed.contains(&format!("path ({other}): off")), "{listed}");
}

#[tokio::test]
async fn the_same_clone_by_another_url_is_the_same_and_no_credential_of_it_is_kept() {
    let (mut machine, world) = dans().await;
    let secret = "https://dan:ghp_0123456789abcdefghijABCDEFGHIJ012345@github.com/dan/app";
    clones(&machine, &[("app", secret)]);
    machine.run(&["config", "app", &format!("--name={}", world.repo)]);
    let on = format!("app ({}): on", world.repo);
    for url in ["https://github.com/dan/app.git", "git@github.com:dan/app", secret] {
        clones(&machine, &[("app", url)]);
        let listed = machine.run(&["list"]).stdout;
        assert!(listed.contains(&on), "{url}: {listed}");
    }
    clones(&machine, &[("odd", "https://dan:hunter2pass@git.example.com/app.git")]);
    let odd = machine.run(&["agents", "--repo", "odd"]);
    assert!(odd.stderr.contains("git.example.com"), "{odd:?}");
    let all = settings(&machine).to_string() + &odd.stderr;
    assert!(!all.contains("ghp_") && !all.contains("hunter2"), "{all}");
}

#[tokio::test]
async fn a_line_that_is_wrong_in_its_second_half_changes_nothing() {
    let (mut machine, world) = dans().await;
    clones(&machine, &[("app", "/srv/git/app.git")]);
    let before = settings(&machine);
    let name = format!("--name={}", world.repo);
    machine.run(&["config", "app", &name, "--api-endpoint=nonsense"]).exits(2);
    assert_eq!(settings(&machine), before);
}

#[tokio::test]
async fn an_unknown_name_does_not_hide_the_clone() {
    let (mut machine, world) = dans().await;
    clones(&machine, &[("app", &world.clone_url())]);
    let typo = machine.run(&["config", "aap", &format!("--name={}", world.repo)]);
    assert!(typo.stderr.contains("multiclaude knows no aap"), "{typo:?}");
    let shown = machine.run(&["config", &world.repo, "--json"]).json();
    assert_eq!(shown["nickname"], "app");
}

#[tokio::test]
async fn every_name_of_multiclaudes_has_a_line_of_its_own() {
    let (mut machine, world) = dans().await;
    let url = world.clone_url();
    clones(&machine, &[("one", &url), ("two", &url), ("path", "/srv/git/app.git")]);
    let listed = machine.run(&["list"]).stdout;
    for name in ["one", "two"] {
        assert!(listed.contains(&format!("{name} ({}): on", world.repo)), "{listed}");
    }
    assert!(listed.contains("path: off; to turn it on"), "{listed}");
}

#[tokio::test]
async fn a_name_that_is_taken_here_or_stopped_is_shown_as_such() {
    let (mut machine, world) = dans().await;
    machine.multiclaude(&world.clone_url(), &[("supervisor", "supervisor")]);
    for name in ["supervisor", "sleeper"] {
        let agent = json!({"name": name, "type": "supervisor", "location": "remote"});
        world.ci.register(&agent).await.unwrap();
    }
    let stopped = json!({"status": "stopped"});
    world.ci.update("sleeper", &stopped).await.unwrap();
    let listed = machine.run(&["list"]).stdout;
    assert!(listed.contains("sleeper (stopped)"), "{listed}");
    let taken = "supervisor (hidden from multiclaude message by the agent here)";
    assert!(listed.contains(taken), "{listed}");
}

#[tokio::test]
async fn an_unknown_repo_is_not_called_disabled() {
    let (mut machine, world) = with_shim().await;
    let elsewhere = machine.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    machine.enter("elsewhere");
    // multiclaude's only repo is meant, however many the token covers.
    let both = [world.repo.clone(), shared().await.world().await.repo];
    let wish = json!({"kind": "user", "owner": "dan", "repos": both});
    let token = world.admin.create_token(&wish).await.unwrap().token.unwrap();
    machine.run_with(&["login", "--url", &world.url], &token);
    let shown = machine.sh("multiclaude config");
    assert!(shown.stdout.contains("Hybrid Mode: enabled"), "{shown:?}");
    let shown = machine.sh("multiclaude config nope");
    assert!(!shown.stdout.contains("Hybrid Mode"), "{shown:?}");
    assert!(shown.stderr.contains("Hybrid Mode: unknown"), "{shown:?}");
    machine.write(".multiclaude/state.json", "{");
    let shown = machine.sh("multiclaude config app");
    assert!(!shown.stdout.contains("Hybrid Mode"), "{shown:?}");
    assert!(shown.stderr.contains("state.json is damaged"), "{shown:?}");
}

#[tokio::test]
async fn a_fork_is_distinguished_from_the_repo_of_the_team() {
    let (mut machine, world) = dans().await;
    let (owner, name) = world.repo.split_once('/').unwrap();
    let fork = json!({"github_url": "https://github.com/dan/fork", "fork_config": {
        "is_fork": true, "upstream_owner": owner, "upstream_repo": name }});
    let state = json!({ "repos": { "fork": fork } });
    machine.write(".multiclaude/state.json", &state.to_string());
    let printed = machine.run(&["config", "fork", "--hybrid=true"]);
    let hint = format!("config fork --name={}", world.repo);
    assert!(printed.stderr.contains(&hint), "{printed:?}");
    // What is set for the team's repo already is not lost, nor what was for the fork.
    machine.run(&["config", "fork", "--require-encryption=true"]);
    machine.run(&["config", &world.repo, "--hybrid=false"]);
    machine.run(&["config", "fork", "--name", &world.repo]);
    let kept = &settings(&machine)["repos"][&world.repo];
    assert_eq!((&kept["enabled"], &kept["require_encryption"]), (&json!(true), &json!(true)));
    // Nothing is left of the fork's own.
    let listed = machine.run(&["list"]).exits(0);
    assert!(!listed.stdout.contains("dan/fork"), "{listed:?}");
}
