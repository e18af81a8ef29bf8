//! Logins that end half-way, and what `logout` leaves: nothing.

use crate::secrecy::files_with;
use axum::body::Body;
use axum::http::Response;
use e2e::process::kill;
use e2e::{Fake, Machine, until};
use multiclaude_hybrid_protocol::token::{SecretToken, TokenKind};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The answer to `whoami`: each token is one of dan's.
fn dan() -> Response<Body> {
    let who = json!({"token_id": "tok_0193a1b2c3d47000800000010a2b3c4d", "kind": "user", "owner": "dan",
        "repos": ["acme/app"]});
    Response::new(Body::from(who.to_string()))
}

async fn coordinator() -> Fake {
    Fake::start(|_| dan()).await
}

fn token() -> String {
    SecretToken::new(TokenKind::User, [7; 32]).reveal().to_owned()
}

/// Files below multiclaude's directory that hold a token.
fn with_a_token(machine: &Machine) -> Vec<PathBuf> {
    files_with(&machine.path(".multiclaude"), "mcu_")
}

fn change(machine: &Machine, path: &str, change: impl FnOnce(&mut Value)) {
    let path = machine.path(path);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_written_down_leaves_no_token() {
    let fake = coordinator().await;
    let mut machine = Machine::new();
    for number in 0..20 {
        machine.run(&["config", &format!("acme/app{number}"), "--hybrid=true"]);
    }
    let settings = || fs::read(machine.path(".multiclaude/hybrid/settings.json")).unwrap();
    let before = settings();
    // There is room for the credentials, and none for the settings.
    assert!(before.len() > 2048);
    let (url, token) = (&fake.url, token());
    let line = format!(
        "trap '' XFSZ; ulimit -f 2; printf %s {token} | multiclaude-hybrid login --url {url}"
    );
    let mut shell = machine.command("sh");
    let ran = shell.args(["-c", &line]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("settings.json"), "{ran:?}");
    assert_eq!(settings(), before);
    assert_eq!(with_a_token(&machine), Vec::<PathBuf>::new());
    let mut files = fs::read_dir(machine.path(".multiclaude/hybrid")).unwrap();
    assert!(!files.any(|file| file.unwrap().path().extension().is_some_and(|end| end == "draft")));
    machine.run(&["logout", "--all"]).exits(3);
    // A login that is known stays one.
    machine.run_with(&["login", "--url", url], &token).exits(0);
    let ran = machine.command("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    machine.run(&["whoami"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_of_everything_clears_what_nothing_refers_to_and_keeps_the_key() {
    let fake = coordinator().await;
    let mut machine = Machine::new();
    let login = ["login", "--url", fake.url.as_str()];
    machine.run_with(&login, &token()).exits(0);
    let (credentials, draft) = (".multiclaude/credentials", ".multiclaude/credentials.draft");
    change(&machine, ".multiclaude/hybrid/settings.json", |settings| {
        settings["key"] = json!({"recipient": "age1ours", "place": "file"});
    });
    let leave = |machine: &Machine| {
        change(machine, credentials, |file| {
            file["secrets"]["key age1ours"] = json!("ours");
            file["secrets"]["key age1other"] = json!("AGE-SECRET-KEY-1OTHER");
            file["secrets"]["token https://gone.example.com/v1 tok_1"] = json!(token());
        });
        fs::write(machine.path(draft), token()).unwrap();
    };
    leave(&machine);
    let ran = machine.run(&["logout", "--all"]).exits(0);
    assert!(ran.stdout.contains("Forgot 2 secrets that nothing referred to"), "{ran:?}");
    assert_eq!(with_a_token(&machine), Vec::<PathBuf>::new());
    let kept: Value =
        serde_json::from_slice(&fs::read(machine.path(credentials)).unwrap()).unwrap();
    assert_eq!(kept["secrets"], json!({"key age1ours": "ours"}));
    // Leftovers alone are no failure, and nothing at all is one.
    leave(&machine);
    machine.run(&["logout", "--all"]).exits(0);
    assert_eq!(with_a_token(&machine), Vec::<PathBuf>::new());
    machine.run(&["logout", "--all"]).exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_that_cannot_be_forgotten_keeps_no_other() {
    let (first, second) = (coordinator().await, coordinator().await);
    let mut machine = Machine::new();
    for fake in [&first, &second] {
        machine.run_with(&["login", "--url", &fake.url], &token()).exits(0);
    }
    // There is no keychain here.
    change(&machine, ".multiclaude/hybrid/settings.json", |settings| {
        settings["logins"][0]["place"] = json!("keychain");
    });
    let ran = machine.run(&["logout", "--all"]);
    assert!(ran.code == 1 && ran.stderr.contains("keychain"), "{ran:?}");
    assert!(ran.stdout.contains(&second.url) && !ran.stdout.contains(&first.url), "{ran:?}");
    assert_eq!(with_a_token(&machine), Vec::<PathBuf>::new());
    assert!(machine.run(&["logout", "--all"]).stderr.contains("keychain"), "it is still listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_killed_login_left_is_forgotten_by_logout() {
    let mut machine = Machine::new();
    let settings = machine.path(".multiclaude/hybrid/settings.json");
    let pipe = settings.clone();
    // Once the token is verified, reading the settings blocks.
    let fake = Fake::start(move |_| {
        fs::create_dir_all(pipe.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        dan()
    })
    .await;
    let mut login = machine.hybrid(&["login", "--url", &fake.url]);
    let mut child = login.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token().as_bytes()).unwrap();
    let draft = machine.path(".multiclaude/credentials.draft");
    until("the token is written", async || {
        fs::read_to_string(&draft).is_ok_and(|written| written.contains(&token()))
    })
    .await;
    kill(&mut child, "a login");
    fs::remove_file(settings).unwrap();
    let ran = machine.run(&["logout", "--all"]);
    assert!(ran.code == 0 && ran.stdout.contains("Forgot 1 secret"), "{ran:?}");
    let left: Vec<_> = fs::read_dir(machine.path(".multiclaude")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(with_a_token(&machine), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn as_chooses_the_token_that_is_forgotten_listed_or_taken() {
    let (first, second) = (coordinator().await, coordinator().await);
    let mut machine = Machine::new();
    for fake in [&first, &second] {
        machine.run_with(&["login", "--url", &fake.url], &token()).exits(0);
    }
    change(&machine, ".multiclaude/hybrid/settings.json", |settings| {
        settings["logins"][0]["kind"] = json!("service");
    });
    for args in [&["whoami", "--all"][..], &["status"], &["doctor"]] {
        let ran = machine.run(&[args, &["--as", "service"]].concat());
        assert!(ran.stdout.contains(&first.url), "{args:?}: {ran:?}");
        assert!(!ran.stdout.contains(&second.url), "{args:?}: {ran:?}");
    }
    let ran = machine.run(&["logout", "--as", "service"]).exits(0);
    assert!(ran.stdout.contains(&first.url) && !ran.stdout.contains(&second.url), "{ran:?}");
    let ran = machine.run_with(&["login", "--url", &first.url, "--as", "service"], &token());
    assert!(ran.code == 2 && ran.stderr.contains("dan"), "{ran:?}");
}
