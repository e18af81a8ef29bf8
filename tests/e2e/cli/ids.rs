//! The beginning of an id, wherever one is taken.

use super::{dans, on_machine};
use crate::{agent, message};
use e2e::{Ran, shared};
use multiclaude_hybrid_protocol::message::MessageStatus;
use serde_json::json;

/// All but the last four hex digits of an id.
fn beginning(id: &str) -> &str {
    &id[..4 + 28]
}

fn done(ran: &Ran, id: &str) {
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(id), "{ran:?}");
}

#[tokio::test]
async fn requests_are_named_by_the_beginning_of_their_ids() {
    let (mut machine, world) = dans().await;
    let repo = world.repo.as_str();
    let mut ask = |task| {
        let asked = machine.run(&["--json", "work", "--remote", task, "--repo", repo]).json();
        asked["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (ask("one"), ask("two"));
    done(&machine.run(&["workers", "show", beginning(&one), "--repo", repo]), &one);
    done(&machine.run(&["workers", "cancel", &beginning(&two)[4..], "--repo", repo]), &two);
    machine.run(&["workers", "wait", beginning(&two), "--repo", repo]).exits(9);
    machine.run(&["workers", "logs", beginning(&two), "--repo", repo]).exits(5);
    let both = machine.run(&["workers", "cancel", &one[..9], "--repo", repo]).exits(2);
    assert!(both.stderr.contains(&one) && both.stderr.contains(&two), "{both:?}");
    machine.run(&["workers", "show", "ffff", "--repo", repo]).exits(5);
    machine.run(&["workers", "show", "fff", "--repo", repo]).exits(2);
}

#[tokio::test]
async fn received_messages_are_named_by_the_beginning_of_their_ids() {
    let (mut machine, world) = dans().await;
    let repo = world.repo.as_str();
    world.ann.register(&agent("queue")).await.unwrap();
    machine.run(&["ack", "0193", "--repo", repo]).exits(5);
    machine.run(&["agents", "register", "desk", "--type", "workspace", "--repo", repo]);
    world.dan.register(&agent("elsewhere")).await.unwrap();
    let one = world.ann.send(&message("queue", "desk", "one"), None).await.unwrap().id.to_string();
    let two = world.ann.send(&message("queue", "elsewhere", "two"), None).await.unwrap();
    done(&machine.run(&["receipt", beginning(&one), "--repo", repo]), &one);
    let answered = machine.run(&["--json", "reply", &one[..36], "yes", "--repo", repo]).json();
    assert_eq!(answered["reply_to"], one.as_str());
    let more = ["--json", "send", "--from", "desk", "queue", "more", "--repo", repo];
    let sent = machine.run(&[&more[..], &["--reply-to", beginning(&one)]].concat());
    assert_eq!(sent.json()["reply_to"], one.as_str());
    done(&machine.run(&["ack", beginning(&one), "--repo", repo]), &one);
    // Another machine's agent is looked at if it is named.
    let id = two.id.to_string();
    machine.run(&["ack", beginning(&id), "--repo", repo]).exits(5);
    let named = ["ack", beginning(&id), "--agent", "elsewhere", "--repo", repo];
    done(&machine.run(&named), &id);
    let messages = world.dan.messages("elsewhere", "").await.unwrap();
    assert_eq!(messages[0].status, MessageStatus::Acked);
}

#[tokio::test]
async fn tokens_are_named_by_the_beginning_of_their_ids() {
    let world = shared().await.world().await;
    let mut admin = on_machine(&world, &shared().await.admin, "desk");
    let wish = json!({"kind": "user", "owner": "dan", "repos": [world.repo]});
    let made = world.admin.create_token(&wish).await.unwrap().id.to_string();
    done(&admin.run(&["tokens", "revoke", beginning(&made)]), &made);
    let mut dan = on_machine(&world, &world.tokens[0], "lap");
    let id = dan.run(&["--json", "whoami"]).json();
    let id = id["token_id"].as_str().unwrap().to_owned();
    done(&dan.run(&["whoami", "--as", beginning(&id)]), "dan");
    dan.run(&["whoami", "--as", "ffff"]).exits(3);
    done(&dan.run(&["logout", &beginning(&id)[4..]]), &id);
}
