//! Agents: the registry.

mod lists;
mod presence;

use crate::{agent, code, message};
use e2e::shared;
use multiclaude_hybrid_protocol::ErrorCode::{AgentExists, AgentNotFound, ValidationFailed};
use multiclaude_hybrid_protocol::agent::{AgentStatus, Delivery, Location};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_registration_owner_is_the_caller_and_its_first_status_is_active() {
    let world = shared().await.world().await;
    let his =
        world.dan.register(&json!({"name": "w", "type": "worker", "owner": "ann"})).await.unwrap();
    assert_eq!(his.owner.as_str(), "dan");
    assert_eq!((his.status, his.location), (AgentStatus::Active, Location::Local));
    assert_eq!((his.delivery, his.endpoint.as_str()), (Delivery::Polling, ""));
    let its = world.ci.register(&agent("ci-worker")).await.unwrap();
    assert_eq!(its.location, Location::Remote);
}

#[tokio::test]
async fn registering_again_is_idempotent_and_keeps_the_mailbox() {
    let world = shared().await.world().await;
    let body = json!({"name": "w", "type": "worker", "instance": "laptop"});
    let reply = world.dan.call(Method::POST, "/agents", &[], Some(&body)).await.unwrap();
    assert_eq!(reply.status, 201);
    let first: multiclaude_hybrid_protocol::agent::Agent = reply.json().unwrap();
    world.dan.send(&message("w", "w", "kept"), None).await.unwrap();
    let again =
        json!({"name": "w", "type": "reviewer", "instance": "laptop", "metadata": {"a": "b"}});
    let reply = world.dan.call(Method::POST, "/agents", &[], Some(&again)).await.unwrap();
    assert_eq!(reply.status, 200);
    let second: multiclaude_hybrid_protocol::agent::Agent = reply.json().unwrap();
    assert_eq!((second.id, second.r#type.as_str()), (first.id, "reviewer"));
    assert_eq!(second.metadata["a"], "b");
    assert_eq!(world.dan.messages("w", "").await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_owner_or_instance_gets_409_saying_who_holds_the_name() {
    let world = shared().await.world().await;
    let held = json!({"name": "w", "type": "worker", "instance": "laptop"});
    world.dan.register(&held).await.unwrap();
    for (client, body) in [
        (&world.ann, held),
        (&world.dan, json!({"name": "w", "type": "worker", "instance": "desktop"})),
        (&world.dan, json!({"name": "w", "type": "worker"})),
        (&world.ann, json!({"name": "w", "type": "worker", "take_over": true})),
    ] {
        let refused = client.register(&body).await;
        let text = refused.as_ref().unwrap_err().to_string();
        assert!(text.contains("dan") && text.contains("laptop"), "{text}");
        assert_eq!(code(refused), AgentExists);
    }
}

#[tokio::test]
async fn take_over_replaces_a_stopped_agent_with_an_empty_mailbox() {
    let world = shared().await.world().await;
    let old = world.dan.register(&agent("w")).await.unwrap();
    world.dan.send(&message("w", "w", "for the old one"), None).await.unwrap();
    world.dan.update("w", &json!({"status": "stopped"})).await.unwrap();
    let wish = json!({"name": "w", "type": "worker", "take_over": true});
    let new = world.ann.register(&wish).await.unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(new.owner.as_str(), "ann");
    assert_eq!(world.ann.messages("w", "").await.unwrap(), []);
    assert_eq!(world.ann.agent("w").await.unwrap().waiting, Some(0));
}

#[tokio::test]
async fn a_patch_changes_what_is_given_and_nothing_else() {
    let world = shared().await.world().await;
    let body = json!({"name": "w", "type": "worker", "metadata": {"branch": "main"}});
    world.dan.register(&body).await.unwrap();
    let idle = world.dan.update("w", &json!({"status": "idle"})).await.unwrap();
    assert_eq!((idle.status, idle.metadata["branch"].as_str()), (AgentStatus::Idle, "main"));
    let change = json!({"metadata": {"held": "2"}, "location": "remote"});
    let moved = world.dan.update("w", &change).await.unwrap();
    assert_eq!((moved.metadata.len(), moved.location), (1, Location::Remote));
    assert_eq!(code(world.dan.update("nobody", &json!({})).await), AgentNotFound);
    assert_eq!(code(world.dan.update("w", &json!({"status": "busy"})).await), ValidationFailed);
}

#[tokio::test]
async fn deregistering_frees_the_name_and_may_be_repeated() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    world.dan.deregister("w").await.unwrap();
    world.dan.deregister("w").await.unwrap();
    assert_eq!(code(world.dan.agent("w").await), AgentNotFound);
    assert_eq!(code(world.dan.messages("w", "").await), AgentNotFound);
    assert_eq!(code(world.dan.send(&message("user:dan", "w", "x"), None).await), AgentNotFound);
    assert_eq!(code(world.dan.deregister("never").await), AgentNotFound);
    assert_eq!(world.ann.register(&agent("w")).await.unwrap().owner.as_str(), "ann");
}
