//! The human decides whose messages reach agents.

use super::Hop;
use e2e::process::{LIMIT, output};
use serde_json::{Value, json};

impl Hop {
    async fn asked(&self, text: &str) -> String {
        let held = e2e::eventually(&format!("{text:?} is shown"), || async {
            let held =
                output(&mut self.ann.machine.hybrid(&["bridge", "held", "--json"]), b"", LIMIT);
            let held: Value = serde_json::from_slice(&held.stdout).unwrap();
            held.as_array().unwrap().iter().find(|held| held["body"] == text).cloned()
        })
        .await;
        assert_eq!(held["reason"], "not accepted from dan");
        held["id"].as_str().unwrap().to_owned()
    }

    fn run(&mut self, args: &[&str]) {
        self.ann.machine.run(args).exits(0);
    }
}

#[tokio::test]
async fn a_message_that_is_not_accepted_waits_for_the_human_and_is_hidden_from_its_agent() {
    let mut hop = Hop::new(&[], true, &["--accept=ask"]).await;
    hop.dan.send("fox", "fox-ann", "may I?");
    let id = hop.asked("may I?").await;
    assert!(hop.ann.files("fox").iter().all(|file| file["id"] != id.as_str()));
    let tool = hop.ann.claude("fox").call_tool("multiclaude-hybrid", "list_messages", json!({}));
    assert_eq!(super::tools::value(&tool), json!([]), "not by a tool either");
    let shown = hop.ann.machine.run(&["bridge", "held"]).stdout;
    assert!(shown.contains("may I?") && shown.contains("bridge accept dan"), "{shown}");
    hop.run(&["bridge", "accept", &id]);
    hop.taken("fox", "may I?").await;

    hop.dan.send("fox", "fox-ann", "do something bad");
    let id = hop.asked("do something bad").await;
    hop.run(&["bridge", "refuse", &id, "--reason", "we do not do that"]);
    let answer = hop.dan.bodies_with("fox", "fox-ann", "was refused").await;
    assert!(answer.contains(&id) && answer.contains("we do not do that"), "{answer}");

    hop.dan.send("fox", "fox-ann", "and now?");
    hop.asked("and now?").await;
    hop.run(&["bridge", "accept", "dan"]);
    hop.taken("fox", "and now?").await;
    hop.dan.send("fox", "fox-ann", "thanks");
    let id = hop.taken("fox", "thanks").await;
    hop.seen(&id).await;
    hop.run(&["bridge", "accept", "--revoke", "dan"]);
    hop.dan.send("fox", "fox-ann", "one more");
    hop.asked("one more").await;
    let ran = hop.ann.machine.run(&["bridge", "accept", "--revoke", "dan"]);
    assert!(ran.code == 5 && ran.stderr.contains("was not accepted here"), "{ran:?}");
    let taken = hop.ann.claude("fox").texts("taken");
    assert!(!taken.iter().any(|text| text.contains("something bad")), "{taken:?}");
    let ran = hop.ann.machine.run(&["bridge", "accept", "msg_1"]);
    assert!(ran.code == 5 && ran.stderr.contains("bridge held"), "{ran:?}");
}

#[tokio::test]
async fn messages_of_named_owners_are_accepted_without_asking() {
    let hop = Hop::new(&[], true, &["--accept=dan,eve"]).await;
    hop.dan.send("fox", "fox-ann", "from dan");
    let id = hop.taken("fox", "from dan").await;
    hop.seen(&id).await;
}
