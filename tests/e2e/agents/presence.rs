//! Presence: heartbeats, waiting messages, ended incarnations.

use crate::{agent, code, delivery_is, message, name};
use e2e::{scaled, shared};
use multiclaude_hybrid_protocol::ErrorCode::{AgentExists, AgentSuperseded};
use multiclaude_hybrid_protocol::agent::{AgentStatus, Delivery};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn an_agent_unseen_for_180_seconds_is_reported_stopped_and_still_gets_mail() {
    // 180 s are three.
    let world = scaled(60).await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    world.ann.register(&agent("a")).await.unwrap();
    e2e::until("both to count as stopped", async || {
        world.dan.agents("status=stopped").await.unwrap().len() == 2
    })
    .await;
    assert_eq!(world.dan.agent("w").await.unwrap().status, AgentStatus::Stopped);
    assert!(world.ann.send(&message("a", "w", "still"), None).await.is_ok());
    let alive = world.dan.update("w", &json!({})).await.unwrap();
    assert_eq!(alive.status, AgentStatus::Active);
    let new = json!({"name": "a", "type": "worker", "take_over": true});
    e2e::eventually("the right to take a over", || async { world.dan.register(&new).await.ok() })
        .await;
}

#[tokio::test]
async fn a_stream_a_poll_and_an_acknowledgement_are_signs_of_life_and_keep_the_name() {
    // 180 s are nine.
    let world = scaled(20).await.world().await;
    for name in ["streams", "polls", "acks", "silent", "peeked", "says-stopped"] {
        world.dan.register(&agent(name)).await.unwrap();
    }
    world.ann.register(&agent("ann")).await.unwrap();
    let stream = world.dan.stream(&name("streams"), None).await.unwrap();
    let mine = world.dan.stream(&name("says-stopped"), None).await.unwrap();
    world.dan.update("says-stopped", &json!({"status": "stopped"})).await.unwrap();
    let take_over = |name: &str| {
        let wish = json!({"name": name, "type": "worker", "take_over": true});
        let world = &world;
        async move { world.ann.register(&wish).await }
    };
    e2e::until("the silent ones to count as stopped, and to be taken over", async || {
        world.ann.send(&message("ann", "acks", "x"), None).await.unwrap();
        let waiting = world.dan.messages("polls", "status=pending").await.unwrap();
        assert!(waiting.is_empty());
        // A service may read it, too; that is no sign of its holder.
        let mail = world.ci.messages("acks", "status=pending").await.unwrap();
        world.ci.messages("peeked", "").await.unwrap();
        let id = mail[0].id.to_string();
        world.dan.report(&id, "acked").await.unwrap();
        let stopped = world.dan.agents("status=stopped").await.unwrap();
        let names: Vec<_> = stopped.iter().map(|agent| agent.name.as_str()).collect();
        // SQL says so of a list, core of one agent.
        for agent in &stopped {
            let one = world.dan.agent(agent.name.as_str()).await.unwrap();
            assert_eq!(one.status, AgentStatus::Stopped, "{}", agent.name);
        }
        for name in ["streams", "polls", "acks"] {
            assert!(!names.contains(&name), "{names:?}");
            assert_eq!(code(take_over(name).await), AgentExists, "{name}");
        }
        names.contains(&"silent") && names.contains(&"peeked")
    })
    .await;
    take_over("silent").await.unwrap();
    take_over("peeked").await.unwrap();
    let refused = take_over("says-stopped").await.unwrap_err().to_string();
    assert!(refused.contains("still connected"), "{refused}");
    // When a stream ends its holder was there until now.
    drop(stream);
    delivery_is(&world, "streams", Delivery::Polling).await;
    assert_eq!(world.dan.agent("streams").await.unwrap().status, AgentStatus::Active);
    e2e::eventually("the right to take it over", || async { take_over("streams").await.ok() })
        .await;
    drop(mine);
}

#[tokio::test]
async fn an_ended_incarnation_is_reported_before_ownership_is_checked() {
    let world = shared().await.world().await;
    let old = world.dan.register(&agent("w")).await.unwrap();
    world.dan.update("w", &json!({"status": "stopped"})).await.unwrap();
    world.ann.register(&json!({"name": "w", "type": "worker", "take_over": true})).await.unwrap();
    let sent = world.ann.send(&message("w", "w", "x"), None).await.unwrap();
    let header = [("agent-id", old.id.as_str())];
    let patch = world.dan.call(Method::PATCH, "/agents/w", &header, Some(&json!({}))).await;
    assert_eq!(code(patch), AgentSuperseded);
    let poll = world.dan.call(Method::GET, "/agents/w/messages", &header, None).await;
    assert_eq!(code(poll), AgentSuperseded);
    let (path, acked) = (format!("/messages/{}", sent.id), json!({"status": "acked"}));
    let report = world.dan.call(Method::PATCH, &path, &header, Some(&acked)).await;
    assert_eq!(code(report), AgentSuperseded);
    world.ann.deregister("w").await.unwrap();
    let poll = world.dan.call(Method::GET, "/agents/w/messages", &header, None).await;
    assert_eq!(code(poll), AgentSuperseded);
}

#[tokio::test]
async fn the_heartbeats_of_a_machine_are_taken_in_one_call_with_a_result_each() {
    // 180 s are nine.
    let world = scaled(20).await.world().await;
    let old = world.dan.register(&agent("gone")).await.unwrap();
    world.dan.deregister("gone").await.unwrap();
    for n in 0..50 {
        let mut body = agent(&format!("w{n}"));
        body["metadata"] = json!({"n": n.to_string()});
        world.dan.register(&body).await.unwrap();
    }
    world.ann.register(&agent("hers")).await.unwrap();
    e2e::until("all to count as stopped", async || {
        world.dan.agents("status=stopped").await.unwrap().len() == 51
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
    let reply = world.dan.call(Method::POST, "/heartbeats", &[], Some(&beats)).await.unwrap();
    let results: Vec<multiclaude_hybrid_protocol::heartbeat::HeartbeatResult> =
        reply.json().unwrap();
    let words: Vec<_> = results.iter().map(|result| result.result.as_str()).collect();
    assert!(words[..50].iter().all(|word| *word == "ok"), "{words:?}");
    assert_eq!(words[50..], ["forbidden", "agent_not_found", "agent_superseded"]);
    let w1 = world.dan.agent("w1").await.unwrap();
    assert_eq!((w1.status, w1.metadata["n"].as_str()), (AgentStatus::Idle, "1"));
    assert_eq!(world.dan.agent("w2").await.unwrap().metadata["held"], "3");
    assert_eq!(world.dan.agent("w0").await.unwrap().status, AgentStatus::Active);
    assert_eq!(world.ann.agent("hers").await.unwrap().status, AgentStatus::Stopped);
}
