//! `login`, `logout`, `whoami`, `tokens`.

use super::{dans, snapshot};
use e2e::{Machine, shared};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn mode(machine: &Machine, path: &str) -> u32 {
    fs::metadata(machine.path(path)).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_login_is_checked_kept_privately_shown_and_forgotten() {
    let world = shared().await.world().await;
    let mut machine = Machine::new();
    machine.run(&["whoami"]);
    machine.run_with(&["login", "--url", &world.url], &format!("{}\n", world.tokens[0]));
    assert_eq!(mode(&machine, ".multiclaude"), 0o700);
    assert_eq!(mode(&machine, ".multiclaude/credentials"), 0o600);
    machine.run(&["whoami"]);
    machine.run(&["whoami", "--json"]);
    machine.run(&["logout"]);
    assert!(!machine.path(".multiclaude/credentials").exists());
    machine.run(&["logout"]);
    snapshot("login", &machine);
    let settings = fs::read_to_string(machine.path(".multiclaude/hybrid/settings.json")).unwrap();
    assert!(!settings.contains("mcu_"), "{settings}");
}

#[tokio::test]
async fn a_wrong_login_says_what_was_wrong() {
    let world = shared().await.world().await;
    let mut machine = Machine::new();
    let token = &world.tokens[0];
    for (url, token) in [
        ("ftp://example.com", token.as_str()),
        ("http://example.com", token),
        ("localhost:8801", token),
        ("coordinator.example.com/v1?x=1", token),
        ("https://dan@example.com", token),
        (&world.url, ""),
        (&world.url, "hunter2"),
        (&world.url, &token[..50]),
        (&format!("{}/nothing", world.url), token),
        ("http://127.0.0.1:1", token),
    ] {
        let ran = machine.run_with(&["login", "--url", url, "--timeout", "5"], token);
        assert_ne!(ran.code, 0);
    }
    machine.run(&["login", "mcu_token_as_an_argument"]);
    machine.run(&["config", "acme/app", "--api-endpoint=127.0.0.1:8787"]);
    machine.set("MULTICLAUDE_API_URL", "127.0.0.1:8787");
    machine.run(&["whoami"]);
    snapshot("wrong_login", &machine);
    assert!(!machine.path(".multiclaude/credentials").exists());
}

#[tokio::test]
async fn a_revoked_token_is_named_with_the_hint() {
    let (mut machine, world) = dans().await;
    let who = machine.run(&["whoami", "--json"]).json();
    machine.clear();
    world.admin.revoke_token(who["token_id"].as_str().unwrap()).await.unwrap();
    machine.run(&["agents", "--repo", &world.repo]).exits(3);
    machine.run(&["whoami"]);
    machine.run(&["--json", "whoami"]);
    snapshot("revoked", &machine);
}

#[tokio::test]
async fn loose_permissions_are_refused_with_the_command_that_corrects_them() {
    let (mut machine, world) = dans().await;
    let repo = ["agents", "--repo", world.repo.as_str()];
    machine.chmod(".multiclaude/credentials", 0o644);
    let refused = machine.run(&repo).exits(1);
    let hint = refused.stderr.split("hint: ").nth(1).unwrap();
    machine.sh(hint.split(';').next().unwrap());
    machine.run(&repo).exits(0);
    machine.chmod(".multiclaude", 0o777);
    machine.run(&repo).exits(1);
    snapshot("loose_permissions", &machine);
}

#[tokio::test]
async fn an_admin_makes_lists_and_revokes_tokens_and_a_user_does_not() {
    let world = shared().await.world().await;
    let mut machine = Machine::new();
    machine.run_with(&["login", "--url", &world.url], &shared().await.admin);
    let made = machine.line(&format!(
        "tokens create --owner eve --repo {} --expires 30d --description tested",
        world.repo
    ));
    assert!(made.stdout.starts_with("mcu_"), "{made:?}");
    let listed = machine.run(&["--json", "tokens"]).json();
    machine.clear();
    let of_eve = |token: &&serde_json::Value| {
        token["owner"] == "eve" && token["repos"][0] == world.repo.as_str()
    };
    let id = listed.as_array().unwrap().iter().find(of_eve).unwrap()["id"].clone();
    machine.run(&["tokens", "revoke", id.as_str().unwrap()]);
    machine.run(&["tokens", "revoke", id.as_str().unwrap()]);
    machine.run(&["tokens", "revoke", "nonsense"]);
    machine.line(&format!("tokens create --owner dan --kind service --repo {}", world.repo));
    machine.run(&["tokens", "create", "--owner", "Dan!"]);
    let (mut dan, _) = dans().await;
    dan.run(&["tokens"]);
    snapshot("tokens", &machine);
    snapshot("tokens_of_a_user", &dan);
}
