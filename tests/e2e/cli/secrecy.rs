//! Where secrets must not be.

use super::dans;
use crate::secrecy::files_with;
use crate::{agent, delivery_is};
use e2e::process::kill;
use e2e::{Machine, shared};
use multiclaude_hybrid_protocol::agent::Delivery;
use std::fs;

#[tokio::test]
async fn a_token_is_in_the_credentials_file_and_nowhere_else() {
    let (mut machine, world) = dans().await;
    let token = &world.tokens[0];
    world.dan.register(&agent("desk")).await.unwrap();
    let mut said = String::new();
    for args in [
        &["whoami"][..],
        &["whoami", "--all", "--json"],
        &["config", &world.repo, "--json"],
        &["doctor", "--json"],
        &["agents", "--repo", &world.repo, "--json"],
        &["tokens"],
        &["--help"],
        &["login", "--help"],
        &["completions", "bash"],
        &["man"],
        &["leave", &world.repo],
        &["logout"],
    ] {
        if args == ["leave", world.repo.as_str()] {
            let only = files_with(&machine.path(""), token);
            assert_eq!(only, [machine.path(".multiclaude/credentials")]);
        }
        let ran = machine.run(args);
        said = said + &ran.stdout + &ran.stderr;
    }
    assert!(!said.contains(token), "{said}");
    assert!(files_with(&machine.path(""), token).is_empty());
    assert!(!shared().await.log().contains(token.as_str()));
}

#[tokio::test]
async fn a_running_command_shows_no_token_in_its_arguments_or_environment() {
    let (machine, world) = dans().await;
    world.dan.register(&agent("desk")).await.unwrap();
    let mut following = machine.hybrid(&["inbox", "--repo", &world.repo, "desk", "--follow"]);
    let mut child = following.spawn().unwrap();
    delivery_is(&world, "desk", Delivery::Stream).await;
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains("mcu_"), "{text}");
    }
    kill(&mut child, "a follower");
}

#[tokio::test]
async fn a_secret_on_the_command_line_is_not_repeated() {
    let mut machine = Machine::new();
    let token = shared().await.admin.clone();
    for args in [
        &["login", &token][..],
        &["login", "--url", &token],
        &["join", &token],
        &["tokens", "revoke", &token],
        &[&token],
    ] {
        let ran = machine.run(args);
        assert_ne!(ran.code, 0);
        assert!(!(ran.stdout + &ran.stderr).contains(&token), "{args:?}");
    }
}
