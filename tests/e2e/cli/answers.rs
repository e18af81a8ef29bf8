//! `reply` and `ack --all`.

use super::{dans, snapshot};
use crate::{agent, message};
use multiclaude_hybrid_protocol::message::MessageStatus;
use serde_json::json;

#[tokio::test]
async fn an_answer_goes_to_the_sender_in_the_same_thread() {
    let (mut machine, world) = dans().await;
    let repo = world.repo.as_str();
    world.dan.register(&agent("desk")).await.unwrap();
    world.ann.register(&agent("queue")).await.unwrap();
    let mut question = message("queue", "desk", "which branch?");
    question["thread_id"] = json!("t1");
    let asked = world.ann.send(&question, None).await.unwrap();
    let id = asked.id.to_string();
    machine.run_with(&["reply", &id, "-", "--repo", repo], "main,\nas ever").exits(0);
    let answer = world.ann.messages("queue", "").await.unwrap().remove(0);
    assert_eq!(
        (answer.from.to_string().as_str(), answer.body.as_str()),
        ("desk", "main,\nas ever")
    );
    assert_eq!((answer.thread_id.as_deref(), answer.reply_to), (Some("t1"), Some(asked.id)));
    machine.clear();
    // A person has no mailbox, and only the recipient answers.
    let sent = machine.run(&["--json", "send", "desk", "note", "--repo", repo]).json();
    let own =
        machine.run(&["--json", "send", "--from", "desk", "queue", "so?", "--repo", repo]).json();
    machine.clear();
    machine.run(&["reply", sent["id"].as_str().unwrap(), "hi", "--repo", repo]);
    machine.run(&["reply", own["id"].as_str().unwrap(), "hi", "--repo", repo]);
    snapshot("reply_refused", &machine);
}

#[tokio::test]
async fn everything_that_waits_for_a_named_agent_is_acknowledged() {
    let (mut machine, world) = dans().await;
    let repo = world.repo.as_str();
    for name in ["desk", "other"] {
        world.dan.register(&agent(name)).await.unwrap();
    }
    for body in ["one", "two", "three"] {
        world.dan.send(&message("other", "desk", body), None).await.unwrap();
    }
    world.dan.send(&message("desk", "other", "not this one"), None).await.unwrap();
    machine.run(&["inbox", "desk", "--limit", "1", "--repo", repo]);
    machine.clear();
    machine.run(&["ack", "--all", "desk", "--repo", repo]);
    machine.run(&["ack", "--all", "desk", "--repo", repo]);
    machine.run(&["ack", "--all", "desk", "--json", "--repo", repo]);
    machine.run(&["ack", "--all", "nobody", "--repo", repo]);
    machine.run(&["ack", "--all"]);
    machine.run(&["ack"]);
    snapshot("ack_all", &machine);
    let waiting = world.dan.messages("desk", "").await.unwrap();
    assert!(waiting.iter().all(|message| message.status == MessageStatus::Acked), "{waiting:?}");
    let others = world.dan.messages("other", "").await.unwrap();
    assert_eq!(others[0].status, MessageStatus::Pending);
}
