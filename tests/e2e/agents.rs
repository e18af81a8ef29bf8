//! Agents: the registry.

use crate::{agent, code, fields, message};
use e2e::{Coordinator, Options, shared};
use multiclaude_hybrid_protocol::ErrorCode::{
    AgentExists, AgentNotFound, AgentSuperseded, ValidationFailed,
};
use multiclaude_hybrid_protocol::agent::{AgentStatus, Delivery, Location};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_registration_owner_is_the_caller_and_its_first_status_is_active() {
    let world = shared().await.world().await;
    let his = world
        .dan
        .register(&json!({"name": "w", "type": "worker", "owner": "ann"}))
        .await
        .unwrap();
    assert_eq!(his.owner.as_str(), "dan");
    assert_eq!(
        (his.status, his.location),
        (AgentStatus::Active, Location::Local)
    );
    assert_eq!(
        (his.delivery, his.endpoint.as_str()),
        (Delivery::Polling, "")
    );
    let its = world.ci.register(&agent("ci-worker")).await.unwrap();
    assert_eq!(its.location, Location::Remote);
}

#[tokio::test]
async fn registering_again_is_idempotent_and_keeps_the_mailbox() {
    let world = shared().await.world().await;
    let body = json!({"name": "w", "type": "worker", "instance": "laptop"});
    let reply = world
        .dan
        .call(Method::POST, "/agents", &[], Some(&body))
        .await
        .unwrap();
    assert_eq!(reply.status, 201);
    let first: multiclaude_hybrid_protocol::agent::Agent = reply.json().unwrap();
    world
        .dan
        .send(&message("w", "w", "kept"), None)
        .await
        .unwrap();
    let again =
        json!({"name": "w", "type": "reviewer", "instance": "laptop", "metadata": {"a": "b"}});
    let reply = world
        .dan
        .call(Method::POST, "/agents", &[], Some(&again))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    let second: multiclaude_hybrid_protocol::agent::Agent = reply.json().unwrap();
    assert_eq!((second.id, second.r#type.as_str()), (first.id, "reviewer"));
    assert_eq!(second.metadata["a"], "b");
    assert_eq!(world.dan.messages("w", "").await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_owner_or_instance_gets_409_saying_who_holds_the_name() {
    let world = shared().await.world().await;
    world
        .dan
        .register(&json!({"name": "w", "type": "worker", "instance": "laptop"}))
        .await
        .unwrap();
    for (client, body) in [
        (
            &world.ann,
            json!({"name": "w", "type": "worker", "instance": "laptop"}),
        ),
        (
            &world.dan,
            json!({"name": "w", "type": "worker", "instance": "desktop"}),
        ),
        (&world.dan, json!({"name": "w", "type": "worker"})),
        (
            &world.ann,
            json!({"name": "w", "type": "worker", "take_over": true}),
        ),
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
    world
        .dan
        .send(&message("w", "w", "for the old one"), None)
        .await
        .unwrap();
    world
        .dan
        .update("w", &json!({"status": "stopped"}))
        .await
        .unwrap();
    let new = world
        .ann
        .register(&json!({"name": "w", "type": "worker", "take_over": true}))
        .await
        .unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(new.owner.as_str(), "ann");
    assert_eq!(world.ann.messages("w", "").await.unwrap(), []);
    assert_eq!(world.ann.agent("w").await.unwrap().waiting, Some(0));
}

#[tokio::test]
async fn an_agent_unseen_for_180_seconds_is_reported_stopped_and_still_gets_mail() {
    let coordinator = Coordinator::start(Options {
        scale: 100,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    world.ann.register(&agent("a")).await.unwrap();
    e2e::eventually("both to count as stopped", 20, || async {
        let stopped = world.dan.agents("status=stopped").await.unwrap();
        (stopped.len() == 2).then_some(())
    })
    .await;
    assert_eq!(
        world.dan.agent("w").await.unwrap().status,
        AgentStatus::Stopped
    );
    assert!(
        world
            .ann
            .send(&message("a", "w", "still"), None)
            .await
            .is_ok()
    );
    let alive = world.dan.update("w", &json!({})).await.unwrap();
    assert_eq!(alive.status, AgentStatus::Active);
    let new = json!({"name": "a", "type": "worker", "take_over": true});
    e2e::eventually("the right to take a over", 20, || async {
        world.dan.register(&new).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_patch_changes_what_is_given_and_nothing_else() {
    let world = shared().await.world().await;
    let body = json!({"name": "w", "type": "worker", "metadata": {"branch": "main"}});
    world.dan.register(&body).await.unwrap();
    let idle = world
        .dan
        .update("w", &json!({"status": "idle"}))
        .await
        .unwrap();
    assert_eq!(
        (idle.status, idle.metadata["branch"].as_str()),
        (AgentStatus::Idle, "main")
    );
    let moved = world
        .dan
        .update(
            "w",
            &json!({"metadata": {"held": "2"}, "location": "remote"}),
        )
        .await
        .unwrap();
    assert_eq!(
        (moved.metadata.len(), moved.location),
        (1, Location::Remote)
    );
    assert_eq!(
        code(world.dan.update("nobody", &json!({})).await),
        AgentNotFound
    );
    assert_eq!(
        code(world.dan.update("w", &json!({"status": "busy"})).await),
        ValidationFailed
    );
}

#[tokio::test]
async fn a_caller_of_an_ended_incarnation_is_told_so_before_ownership_is_looked_at() {
    let world = shared().await.world().await;
    let old = world.dan.register(&agent("w")).await.unwrap();
    world
        .dan
        .update("w", &json!({"status": "stopped"}))
        .await
        .unwrap();
    world
        .ann
        .register(&json!({"name": "w", "type": "worker", "take_over": true}))
        .await
        .unwrap();
    let sent = world.ann.send(&message("w", "w", "x"), None).await.unwrap();
    let header = [("agent-id", old.id.as_str())];
    let patch = world
        .dan
        .call(Method::PATCH, "/agents/w", &header, Some(&json!({})))
        .await;
    assert_eq!(code(patch), AgentSuperseded);
    let poll = world
        .dan
        .call(Method::GET, "/agents/w/messages", &header, None)
        .await;
    assert_eq!(code(poll), AgentSuperseded);
    assert_eq!(
        code(
            world
                .dan
                .report(&sent.id.to_string(), "acked", Some(&old.id))
                .await
        ),
        AgentSuperseded
    );
    world.ann.deregister("w").await.unwrap();
    let poll = world
        .dan
        .call(Method::GET, "/agents/w/messages", &header, None)
        .await;
    assert_eq!(code(poll), AgentSuperseded);
}

#[tokio::test]
async fn deregistering_frees_the_name_and_may_be_repeated() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    world.dan.deregister("w").await.unwrap();
    world.dan.deregister("w").await.unwrap();
    assert_eq!(code(world.dan.agent("w").await), AgentNotFound);
    assert_eq!(code(world.dan.messages("w", "").await), AgentNotFound);
    assert_eq!(
        code(world.dan.send(&message("user:dan", "w", "x"), None).await),
        AgentNotFound
    );
    assert_eq!(code(world.dan.deregister("never").await), AgentNotFound);
    assert_eq!(
        world
            .ann
            .register(&agent("w"))
            .await
            .unwrap()
            .owner
            .as_str(),
        "ann"
    );
}

#[tokio::test]
async fn a_list_is_filtered_and_paged_by_name() {
    let world = shared().await.world().await;
    for (name, kind) in [
        ("a", "worker"),
        ("b", "supervisor"),
        ("c", "worker"),
        ("d", "worker"),
    ] {
        world
            .dan
            .register(&json!({"name": name, "type": kind}))
            .await
            .unwrap();
    }
    world
        .ann
        .register(&json!({"name": "e", "type": "worker", "location": "remote"}))
        .await
        .unwrap();
    let names = async |query: &str| -> Vec<String> {
        let agents = world.dan.agents(query).await.unwrap();
        agents
            .into_iter()
            .map(|agent| agent.name.to_string())
            .collect()
    };
    assert_eq!(names("type=worker").await, ["a", "c", "d", "e"]);
    assert_eq!(names("location=remote").await, ["e"]);
    assert_eq!(names("owner=ann").await, ["e"]);
    assert_eq!(names("status=idle").await, Vec::<String>::new());
    let page = world
        .dan
        .call(Method::GET, "/agents?type=worker&limit=2", &[], None)
        .await
        .unwrap();
    let link = page.headers["link"].to_str().unwrap();
    assert!(
        link.contains("type=worker") && link.contains("after=c") && link.ends_with("rel=\"next\""),
        "{link}"
    );
    assert_eq!(names("type=worker&limit=2&after=c").await, ["d", "e"]);
    let last = world
        .dan
        .call(Method::GET, "/agents?limit=500", &[], None)
        .await
        .unwrap();
    assert!(!last.headers.contains_key("link"));
}

#[tokio::test]
async fn a_bad_name_type_or_metadata_is_named() {
    let world = shared().await.world().await;
    for name in ["a.b", "-x", "", "system", "User", "ä", &"x".repeat(65)] {
        assert_eq!(
            fields(world.dan.register(&agent(name)).await),
            ["name"],
            "{name}"
        );
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("k{n}"), json!("v"))).collect();
    let wish = json!({"name": "w", "type": "worker", "metadata": many});
    assert_eq!(fields(world.dan.register(&wish).await), ["metadata"]);
    let wish = json!({"name": "w", "type": "a b", "instance": "x/y", "location": "moon"});
    assert_eq!(
        fields(world.dan.register(&wish).await),
        ["type", "location", "instance"]
    );
}

#[tokio::test]
async fn owner_and_repo_are_compared_without_regard_to_case() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    let (owner, repo) = world.repo.split_once('/').unwrap();
    let shouting = world
        .dan
        .client
        .repo(&owner.to_uppercase(), &repo.to_uppercase());
    assert_eq!(shouting.agent("w").await.unwrap().repo.as_str(), world.repo);
}

#[tokio::test]
async fn an_agent_shows_how_many_messages_wait() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    for _ in 0..3 {
        world.dan.send(&message("w", "w", "x"), None).await.unwrap();
    }
    assert_eq!(world.dan.agent("w").await.unwrap().waiting, Some(3));
}

#[tokio::test]
async fn the_heartbeats_of_a_machine_are_taken_in_one_call_with_a_result_each() {
    let coordinator = Coordinator::start(Options {
        scale: 100,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    let old = world.dan.register(&agent("gone")).await.unwrap();
    world.dan.deregister("gone").await.unwrap();
    for n in 0..50 {
        let mut body = agent(&format!("w{n}"));
        body["metadata"] = json!({"n": n.to_string()});
        world.dan.register(&body).await.unwrap();
    }
    world.ann.register(&agent("hers")).await.unwrap();
    e2e::eventually("all to count as stopped", 20, || async {
        (world.dan.agents("status=stopped").await.unwrap().len() == 51).then_some(())
    })
    .await;
    let mut beats: Vec<_> = (0..50).map(|n| json!({"name": format!("w{n}")})).collect();
    beats[1]["status"] = "idle".into();
    beats[2]["metadata"] = json!({"held": "3"});
    beats.extend([
        json!({"name": "hers"}),
        json!({"name": "never"}),
        json!({"name": "gone", "id": old.id}),
    ]);
    let beats = serde_json::Value::from(beats);
    let reply = world
        .dan
        .call(Method::POST, "/heartbeats", &[], Some(&beats))
        .await
        .unwrap();
    let results: Vec<multiclaude_hybrid_protocol::heartbeat::HeartbeatResult> =
        reply.json().unwrap();
    let words: Vec<_> = results
        .iter()
        .map(|result| result.result.as_str())
        .collect();
    assert!(words[..50].iter().all(|word| *word == "ok"), "{words:?}");
    assert_eq!(
        words[50..],
        ["forbidden", "agent_not_found", "agent_superseded"]
    );
    let w1 = world.dan.agent("w1").await.unwrap();
    assert_eq!(
        (w1.status, w1.metadata["n"].as_str()),
        (AgentStatus::Idle, "1")
    );
    assert_eq!(world.dan.agent("w2").await.unwrap().metadata["held"], "3");
    assert_eq!(
        world.dan.agent("w0").await.unwrap().status,
        AgentStatus::Active
    );
    assert_eq!(
        world.ann.agent("hers").await.unwrap().status,
        AgentStatus::Stopped
    );
    let bad = json!([{"name": "w0"}, {"name": "a.b", "status": "busy"}]);
    let refused = world
        .dan
        .call(Method::POST, "/heartbeats", &[], Some(&bad))
        .await;
    assert_eq!(fields(refused), ["1.name", "1.status"]);
}
