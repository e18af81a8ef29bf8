//! Which repo a git clone is of, and what happens where its remote does not say.

use super::beside::settings;
use super::dans;
use crate::agent;
use e2e::{Machine, World, eventually, until};
use serde_json::json;

/// A git repository in a directory of its own, with this remote.
fn clone_of(machine: &mut Machine, directory: &str, url: &str) {
    machine.enter(directory);
    machine.sh(&format!("git init -q . && git remote add origin '{url}'")).exits(0);
}

fn set_url(machine: &mut Machine, url: &str) {
    machine.sh(&format!("git remote set-url origin '{url}'")).exits(0);
}

async fn nothing_was_asked(world: &World) {
    assert!(world.ci.typed().pending_workers().await.unwrap().is_empty());
    assert!(world.ci.messages("desk", "").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_clone_elsewhere_means_its_own_repo() {
    let (mut machine, world) = dans().await;
    let url = world.clone_url();
    let state =
        json!({"repos": {"app": {"github_url": url, "agents": null}}, "current_repo": "app"});
    machine.write(".multiclaude/state.json", &state.to_string());
    clone_of(&mut machine, "src/lib", "https://github.com/acme/lib.git");
    for url in ["https://github.com/acme/lib.git", "work:acme/lib.git"] {
        set_url(&mut machine, url);
        let refused = machine.run(&["work", "--remote", "goes where?"]);
        assert!(refused.code == 3 && refused.stderr.contains("acme/lib"), "{url}: {refused:?}");
    }
    machine.enter("elsewhere");
    let asked = machine.run(&["work", "--remote", "the current one"]);
    assert!(asked.stdout.contains(&format!("in {}", world.repo)), "{asked:?}");
    assert_eq!(world.ci.typed().pending_workers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_remote_that_is_not_understood_is_asked_about_and_nothing_is_done() {
    let (mut machine, world) = dans().await;
    world.ci.register(&agent("desk")).await.unwrap();
    clone_of(&mut machine, "src/thing", "https://github.com/acme/thing");
    for url in [
        "https://dan:hunter2@dev.azure.com/org/project/_git/app",
        "git@gitlab.com:group/sub/app.git",
        "codecommit::us-east-1://app",
        "/srv/git/thing.git",
    ] {
        set_url(&mut machine, url);
        for line in [&["send", "desk", "hello"][..], &["work", "--remote", "task"], &["inbox"]] {
            let refused = machine.run(line);
            assert_eq!(refused.code, 2, "{url}: {refused:?}");
            assert!(refused.stderr.contains("remote origin"), "{url}: {refused:?}");
            assert!(refused.stderr.contains("--repo owner/repo"), "{url}: {refused:?}");
            assert!(!refused.stderr.contains("hunter2"), "{url}: {refused:?}");
        }
    }
    for broken in [
        "git remote rename origin one && git remote add two https://github.com/acme/two",
        "echo '[core' > .git/config",
    ] {
        machine.sh(broken);
        let refused = machine.run(&["send", "desk", "hello"]);
        assert_eq!(refused.code, 2, "{broken}: {refused:?}");
    }
    nothing_was_asked(&world).await;
    // What the hint says works.
    let sent = machine.run(&["send", "desk", "hello", "--repo", &world.repo]);
    assert!(sent.stdout.trim_end().ends_with(&format!("to desk in {}", world.repo)), "{sent:?}");
}

#[tokio::test]
async fn the_only_remote_is_meant_whatever_it_is_called_and_however_git_abbreviates_it() {
    let (mut machine, world) = dans().await;
    let (owner, name) = world.repo.split_once('/').unwrap();
    let config = format!("[url \"https://github.com/{owner}/\"]\n  insteadOf = work:\n");
    machine.write(".gitconfig", &config);
    clone_of(&mut machine, "src/thing", &format!("work:{name}"));
    machine.sh("git remote rename origin upstream");
    let asked = machine.run(&["work", "--remote", "task"]);
    assert!(asked.stdout.contains(&format!("in {}", world.repo)), "{asked:?}");
    machine.enter("elsewhere");
    machine.run(&["workers", "--repo", &format!("work:{name}")]).exits(0);
    // So does multiclaude's own clone.
    machine.multiclaude(&format!("work:{name}"), &[]);
    let shown = machine.run(&["config", "app", "--json"]).json();
    assert_eq!(shown["repo"], world.repo.as_str());
}

#[tokio::test]
async fn another_clone_of_what_a_name_was_explained_for_is_known_too() {
    let (mut machine, world) = dans().await;
    machine.multiclaude("/srv/git/app.git", &[]);
    clone_of(&mut machine, "src/path", "/srv/git/app.git");
    let refused = machine.run(&["agents"]);
    let hint = "config app --name=owner/repo";
    assert!(refused.code != 0 && refused.stderr.contains(hint), "{refused:?}");
    let named = machine.run(&["agents", "--repo", "app"]);
    let why = "cloned app from \"/srv/git/app.git\", which names no owner/repo";
    assert!(named.code == 1 && named.stderr.contains(why), "{named:?}");
    assert!(named.stderr.contains(hint), "{named:?}");
    machine.run(&["config", "app", &format!("--name={}", world.repo)]);
    for args in [&["agents"][..], &["agents", "--repo", "app"]] {
        let listed = machine.run(args);
        assert!(listed.stdout.contains(&world.repo), "{listed:?}");
    }
    // And the fork that stands for the team's repo.
    machine.multiclaude("https://github.com/dan/fork", &[]);
    machine.run(&["config", "app", &format!("--name={}", world.repo)]);
    clone_of(&mut machine, "src/fork", "git@github.com:dan/fork.git");
    let listed = machine.run(&["agents"]);
    assert!(listed.stdout.contains(&world.repo), "{listed:?}");
}

#[tokio::test]
async fn a_clone_from_another_host_is_refused_until_the_host_is_allowed() {
    let (mut machine, world) = dans().await;
    let alias = "#!/bin/sh\n[ \"$1 $2 $3\" = '-G -- work' ] && echo 'hostname ssh.github.com'\n";
    machine.install("ssh", alias);
    clone_of(&mut machine, "src/app", &format!("https://github.com/{}.git", world.repo));
    machine.run(&["config", &world.repo, "--hybrid=true"]);
    assert_eq!(settings(&machine)["repos"][&world.repo]["hosts"], json!(["github.com"]));
    for same in ["git@github.com:", "ssh://git@ssh.github.com:443/", "work:", "git@GitHub.com.:"] {
        set_url(&mut machine, &format!("{same}{}", world.repo));
        let listed = machine.run(&["agents"]);
        assert_eq!(listed.code, 0, "{same}: {listed:?}");
    }
    set_url(&mut machine, &format!("git@git.example.com:{}.git", world.repo));
    let refused = machine.run(&["work", "--remote", "whose?"]).exits(2);
    assert!(refused.stderr.contains("clones from github.com"), "{refused:?}");
    machine.run(&["agents", "--repo", &world.repo]).exits(0);
    let (_, hint) = refused.stderr.split_once("same repo: ").unwrap();
    let (command, _) = hint.split_once(';').unwrap();
    machine.sh(command).exits(0);
    machine.run(&["agents"]).exits(0);
}

/// The exit status of `agents`, run in a terminal where a person answers its question.
async fn answered(machine: &Machine, answer: &str) -> String {
    let (asks, code) = (format!("asks-{answer}"), format!("code-{answer}"));
    let line = format!("multiclaude-hybrid agents; echo $? >../../{code}; sleep 60");
    machine.tmux(&["new-session", "-d", "-s", &asks, &line]);
    until("the question", async || {
        let pane = machine.tmux(&["capture-pane", "-p", "-J", "-t", &asks]).stdout;
        String::from_utf8_lossy(&pane).contains("[y/N]")
    })
    .await;
    machine.tmux(&["send-keys", "-t", &asks, answer, "Enter"]);
    eventually("an exit status", || async {
        Some(machine.read(&code).trim().to_owned()).filter(|code| !code.is_empty())
    })
    .await
}

#[tokio::test]
async fn a_person_at_a_terminal_is_asked_once_whether_another_host_has_the_same_repo() {
    let (mut machine, world) = dans().await;
    let sockets = machine.path("tmux");
    std::fs::create_dir(&sockets).unwrap();
    machine.set("TMUX_TMPDIR", sockets.to_str().unwrap());
    clone_of(&mut machine, "src/app", &format!("https://github.com/{}.git", world.repo));
    machine.run(&["config", &world.repo, "--hybrid=true"]);
    set_url(&mut machine, &format!("git@git.example.com:{}.git", world.repo));
    assert_eq!(answered(&machine, "n").await, "2");
    assert_eq!(answered(&machine, "y").await, "0");
    // The answer holds.
    machine.run(&["agents"]).exits(0);
    machine.tmux(&["kill-server"]);
}
