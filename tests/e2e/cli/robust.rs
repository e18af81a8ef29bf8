//! Readers that go away, files that others may write, processes that die in the
//! middle, several tokens.

use super::{dans, ended};
use crate::{agent, message};
use e2e::Machine;
use serde_json::json;
use std::fs;
use std::time::Duration;

#[tokio::test]
async fn a_message_whose_output_is_not_read_is_not_reported_as_read() {
    let (machine, world) = dans().await;
    world.dan.register(&agent("desk")).await.unwrap();
    world.ann.register(&agent("anns")).await.unwrap();
    for follow in [&["--follow"][..], &[]] {
        world.ann.send(&message("anns", "desk", "hello"), None).await.unwrap();
        let args = [&["--json", "inbox", "desk", "--ack", "--repo", &world.repo], follow].concat();
        let mut command = tokio::process::Command::from(machine.hybrid(&args));
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        drop(child.stdout.take());
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
        let ended = ended.expect("it runs on without a reader").unwrap();
        assert_eq!(ended.code(), Some(141));
    }
    let waiting = world.dan.messages("desk", "status=pending").await.unwrap();
    assert_eq!(waiting.len(), 2);
}

#[tokio::test]
async fn without_an_output_nothing_is_marked_or_created() {
    let (mut machine, world) = dans().await;
    let repo = &world.repo;
    let ci = &mut super::on_machine(&world, &world.tokens[2], "ci");
    world.dan.register(&agent("desk")).await.unwrap();
    world.dan.send(&message("desk", "desk", "hello"), None).await.unwrap();
    let bot = json!({"name": "bot", "type": "worker", "endpoint": "http://127.0.0.1:9/"});
    world.ci.register(&bot).await.unwrap();
    for nowhere in [">&-", "1</dev/zero", "1<>/dev/null"] {
        for line in ["inbox desk", "inbox desk --ack", "inbox desk --follow"] {
            let refused =
                machine.sh(&format!("multiclaude-hybrid {line} --repo {repo} {nowhere}")).exits(1);
            assert!(refused.stderr.contains("standard output is closed"), "{refused:?}");
        }
        for line in [
            format!("tokens create --kind user --owner unseen --repo {repo}"),
            format!("invite unseen --repo {repo}"),
            format!("agents rotate-secret bot --repo {repo}"),
            format!(
                "agents register new --type worker --endpoint http://127.0.0.1:9/ --repo {repo}"
            ),
        ] {
            let refused = ci.sh(&format!("multiclaude-hybrid {line} {nowhere}"));
            assert!(refused.stderr.contains("standard output is closed"), "{line}: {refused:?}");
        }
    }
    let waiting = world.dan.messages("desk", "status=pending").await.unwrap();
    assert_eq!(waiting.len(), 1);
    let tokens = world.admin.tokens().await.unwrap();
    assert!(tokens.iter().all(|token| token.owner.as_str() != "unseen"), "{tokens:?}");
    assert_eq!(world.ci.agents("").await.unwrap().len(), 2);
    // It may be thrown away, if that is said; and what marks nothing needs no reader.
    machine.sh("multiclaude-hybrid whoami >&-").exits(0);
    machine.sh(&format!("multiclaude-hybrid inbox desk --repo {repo} >/dev/null")).exits(0);
    let waiting = world.dan.messages("desk", "status=pending").await.unwrap();
    assert!(waiting.is_empty());
}

#[tokio::test]
async fn a_full_disk_behind_standard_output_is_an_error() {
    let (machine, _) = dans().await;
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for args in [&["whoami"][..], &["config", "x/y", "--hybrid-only"]] {
        let ran = ended(machine.hybrid(args).stdout(full()).spawn().unwrap()).await;
        assert_eq!(ran.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("cannot write"), "{ran:?}");
    }
    let mut agents = machine.hybrid(&["agents", "--repo", "x/y"]);
    let ran = ended(agents.stderr(full()).spawn().unwrap()).await;
    assert_eq!(ran.status.code(), Some(3));
}

#[tokio::test]
async fn settings_that_others_may_change_are_refused() {
    let (mut machine, _) = dans().await;
    for (path, loose, tight) in
        [(".multiclaude/hybrid", 0o777, 0o700), (".multiclaude/hybrid/settings.json", 0o666, 0o600)]
    {
        machine.chmod(path, loose);
        let refused = ended(machine.hybrid(&["whoami"]).spawn().unwrap()).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains("chmod go-w"), "{said}");
        machine.chmod(path, tight);
    }
    machine.run(&["whoami"]).exits(0);
}

#[tokio::test]
async fn leaving_waits_for_the_coordinator_or_for_force() {
    let (mut machine, world) = dans().await;
    machine.run(&["agents", "register", "desk", "--type", "workspace", "--repo", &world.repo]);
    machine.set("MULTICLAUDE_API_URL", "http://127.0.0.1:1");
    assert_ne!(machine.run(&["leave", &world.repo]).code, 0);
    machine.set("MULTICLAUDE_API_URL", "");
    machine.run(&["leave", &world.repo]).exits(0);
    assert!(world.ci.agents("").await.unwrap().is_empty());
    machine.run(&["leave", &world.repo]).exits(5);
}

#[tokio::test]
async fn one_of_several_tokens_can_be_chosen_and_forgotten() {
    let (mut machine, world) = dans().await;
    machine.run_with(&["login", "--url", &world.url], &world.tokens[1]);
    let owner = |machine: &mut Machine, args: &[&str]| {
        machine.run(&[&["whoami", "--json"], args].concat()).json()["owner"].clone()
    };
    assert_eq!(owner(&mut machine, &[]), "ann");
    assert_eq!(owner(&mut machine, &["--as", "dan"]), "dan");
    machine.run(&["whoami", "--as", "eve"]).exits(3);
    machine.run(&["logout"]).exits(2);
    machine.run(&["logout", "ann"]).exits(0);
    assert_eq!(owner(&mut machine, &[]), "dan");
    // A login without a URL is for the coordinator that is known here.
    machine.run_with(&["login"], &world.tokens[1]).exits(0);
}

#[tokio::test]
async fn a_coordinator_is_known_by_each_name_of_this_machine_and_not_by_another_path() {
    let (mut machine, world) = dans().await;
    let localhost = world.url.replace("127.0.0.1", "localhost");
    machine.set("MULTICLAUDE_API_URL", &localhost);
    let who = machine.run(&["whoami", "--json"]);
    assert_eq!(who.json()["url"], world.url, "it connects to where the token was given for");
    machine.run(&["logout", "--url", &localhost]).exits(0);
    machine.set("MULTICLAUDE_API_URL", "");
    // A login by another name replaces the first one.
    for url in [&world.url, &localhost] {
        machine.run_with(&["login", "--url", url], &world.tokens[0]).exits(0);
    }
    assert_eq!(machine.run(&["whoami", "--all", "--json"]).json().as_array().unwrap().len(), 1);
    let other = format!("{}/other", world.url);
    machine.run(&["config", &world.repo, &format!("--api-endpoint={other}")]);
    let refused = machine.run(&["agents", "--repo", &world.repo]);
    let hint = format!("config {} --api-endpoint={localhost}", world.repo);
    assert!(refused.code == 3 && refused.stderr.contains(&hint), "{refused:?}");
    machine.set("MULTICLAUDE_API_URL", &other);
    let refused = machine.run(&["agents", "--repo", &world.repo]);
    let hint = format!("export MULTICLAUDE_API_URL={localhost}");
    assert!(refused.code == 3 && refused.stderr.contains(&hint), "{refused:?}");
}
