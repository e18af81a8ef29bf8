//! End-to-end encryption, by hand.

use super::{dans, on_machine, snapshot};
use crate::secrecy::files_with;
use crate::{agent, message};
use e2e::{Machine, World, shared};
use serde_json::json;

/// dan's machine and ann's, in a repo whose messages are encrypted `when`.
async fn both(when: &str) -> (Machine, Machine, World) {
    let (dan, world) = dans().await;
    let ann = on_machine(&world, &world.tokens[1], "desk");
    let mut service = on_machine(&world, &world.tokens[2], "ci");
    service.run(&["config", &world.repo, &format!("--encrypt={when}")]).exits(0);
    (dan, ann, world)
}

fn register(machine: &mut Machine, world: &World, name: &str) {
    machine
        .run(&["agents", "register", name, "--type", "workspace", "--repo", &world.repo])
        .exits(0);
}

#[tokio::test]
async fn only_the_recipient_reads_an_encrypted_message() {
    let (mut dan, mut ann, world) = both("always").await;
    let repo = world.repo.as_str();
    register(&mut ann, &world, "ann-ws");
    ann.clear();
    dan.run(&["send", "--repo", repo, "ann-ws", "the wombat flies at noon"]);
    let stored = world.ann.messages("ann-ws", "").await.unwrap();
    assert!(stored[0].body.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    // Without the key, with another one, and with the right one.
    let mut stolen = on_machine(&world, &world.tokens[1], "thief");
    stolen.run(&["inbox", "--repo", repo, "--peek", "ann-ws"]);
    register(&mut stolen, &world, "other");
    stolen.clear();
    stolen.run(&["inbox", "--repo", repo, "--peek", "ann-ws"]);
    snapshot("encrypted_for_somebody_else", &stolen);
    ann.run(&["inbox", "--repo", repo, "ann-ws"]);
    let shown = ann.run(&["inbox", "--repo", repo, "--json", "ann-ws"]).json();
    assert_eq!(
        (shown[0]["body"].as_str(), shown[0]["encrypted"].as_bool()),
        (Some("the wombat flies at noon"), Some(true))
    );
    let coordinator = shared().await;
    let stored = |text: &str| !files_with(&coordinator.state_dir(), text).is_empty();
    assert!(!stored("wombat"));
    assert!(!coordinator.log().contains("wombat"));
    assert!(stored("BEGIN AGE ENCRYPTED FILE"));
}

#[tokio::test]
async fn a_changed_key_is_refused_until_it_is_trusted() {
    let (mut dan, mut ann, world) = both("always").await;
    let repo = world.repo.as_str();
    let send = |dan: &mut Machine| dan.run(&["send", "--repo", repo, "ann-ws", "hello"]).code;
    register(&mut ann, &world, "ann-ws");
    dan.run(&["keys"]);
    assert_eq!(send(&mut dan), 0);
    let mut known =
        |of: &str| dan.run(&["--json", "keys", "list", "-R", of]).json()["known"].clone();
    let both = (known(repo).as_object().unwrap().len(), known("acme/other"));
    assert_eq!(both, (1, serde_json::json!({})));
    world.ann.deregister("ann-ws").await.unwrap();
    let mut second = on_machine(&world, &world.tokens[1], "new");
    register(&mut second, &world, "ann-ws");
    assert_eq!(send(&mut dan), 6);
    dan.run(&["keys", "trust", "ann-ws", "--repo", repo]);
    assert_eq!(send(&mut dan), 0);
    // No key at all is a change, too.
    world.ann.deregister("ann-ws").await.unwrap();
    world.ann.register(&agent("ann-ws")).await.unwrap();
    assert_eq!(send(&mut dan), 6);
    dan.run(&["keys", "forget", "ann-ws", "--repo", repo]);
    assert_eq!(send(&mut dan), 6);
    snapshot("changed_key_refused", &dan);
}

#[tokio::test]
async fn where_encryption_is_as_possible_a_changed_key_is_warned_about_and_plain_text_mixes() {
    let (mut dan, mut ann, world) = both("when-possible").await;
    let repo = world.repo.as_str();
    let send = |dan: &mut Machine, to: &str, text: &str| {
        dan.run(&["send", "--repo", repo, to, text]).exits(0)
    };
    world.ann.register(&agent("plain")).await.unwrap();
    register(&mut ann, &world, "ann-ws");
    send(&mut dan, "plain", "not encrypted");
    send(&mut dan, "ann-ws", "encrypted");
    // Somebody who knows of no encryption writes to her, too.
    let note = message("user:dan", "ann-ws", "plain to ann");
    world.dan.send(&note, None).await.unwrap();
    ann.clear();
    ann.run(&["inbox", "--repo", repo, "ann-ws"]);
    snapshot("mixed", &ann);
    assert_eq!(world.ann.messages("plain", "").await.unwrap()[0].body, "not encrypted");
    world.ann.deregister("ann-ws").await.unwrap();
    let mut second = on_machine(&world, &world.tokens[1], "new");
    register(&mut second, &world, "ann-ws");
    let warned = send(&mut dan, "ann-ws", "to the new key");
    assert!(warned.stderr.contains("has changed"), "{warned:?}");
    let shown = second.run(&["inbox", "--repo", repo, "--json", "ann-ws"]).json();
    assert_eq!(shown[0]["body"], "to the new key");
}

#[tokio::test]
async fn a_machine_that_requires_encryption_sends_nothing_else() {
    let (mut dan, world) = dans().await;
    world.ann.register(&agent("plain")).await.unwrap();
    dan.run(&["config", &world.repo, "--require-encryption=true"]);
    dan.run(&["send", "--repo", &world.repo, "plain", "hello"]).exits(6);
    assert!(world.ann.messages("plain", "").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_repeat_under_one_key_is_one_message_even_encrypted() {
    let (mut dan, world) = dans().await;
    let mut ann = on_machine(&world, &world.tokens[1], "desk");
    register(&mut ann, &world, "ann-ws");
    dan.run(&["config", &world.repo, "--require-encryption=true"]);
    let send = |dan: &mut Machine, text: &str| {
        dan.run(&["send", "--repo", &world.repo, "--key", "k", "ann-ws", text])
    };
    let (first, again) = (send(&mut dan, "once"), send(&mut dan, "once"));
    assert_eq!((first.code, &first.stdout), (0, &again.stdout), "{first:?} {again:?}");
    send(&mut dan, "another").exits(6);
    assert_eq!(world.ann.messages("ann-ws", "").await.unwrap().len(), 1);
    // A task cannot be encrypted: it is not sent unless that is said.
    let work = ["work", "--repo", &world.repo, "--remote", "secret"];
    dan.run(&work).exits(6);
    dan.run(&[&work[..], &["--unencrypted"]].concat()).exits(0);
    // Back to plain text: that is said.
    dan.run(&["config", &world.repo, "--require-encryption=false"]);
    let plain = dan.run(&["send", "--repo", &world.repo, "ann-ws", "plain"]);
    assert!(plain.code == 0 && plain.stderr.contains("not encrypted"), "{plain:?}");
}

#[tokio::test]
async fn a_ciphertext_without_its_mark_is_one_all_the_same() {
    let (mut dan, world) = dans().await;
    let mut ann = on_machine(&world, &world.tokens[1], "desk");
    register(&mut ann, &world, "ann-ws");
    dan.run(&["config", &world.repo, "--require-encryption=true"]);
    dan.run(&["send", "--repo", &world.repo, "ann-ws", "hidden"]);
    let sealed = world.ann.messages("ann-ws", "").await.unwrap()[0].body.clone();
    // As dan again, and as another owner.
    world.dan.send(&message("user:dan", "ann-ws", &sealed), None).await.unwrap();
    world.ci.register(&agent("ci-bot")).await.unwrap();
    world.ci.send(&message("ci-bot", "ann-ws", &sealed), None).await.unwrap();
    let shown = ann.run(&["--json", "inbox", "ann-ws", "--repo", &world.repo]).exits(1);
    let shown = shown.json();
    assert_eq!((&shown[1]["body"], &shown[1]["encrypted"]), (&json!("hidden"), &json!(true)));
    assert!(shown[2]["error"].as_str().unwrap().contains("another message"), "{shown}");
    // To a machine that requires encryption plain text looks like plain text.
    ann.run(&["config", &world.repo, "--require-encryption=true"]);
    world.dan.send(&message("user:dan", "ann-ws", "plain"), None).await.unwrap();
    let shown = ann.run(&["inbox", "ann-ws", "--repo", &world.repo]);
    assert!(shown.stdout.contains("NOT ENCRYPTED"), "{shown:?}");
}
