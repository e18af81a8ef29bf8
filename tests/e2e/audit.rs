//! The audit log.

use crate::callbacks::{Call, event, serving, spawn};
use crate::{agent, message, name};
use e2e::{World, shared};
use multiclaude_hybrid_protocol::spawn::Claim;
use reqwest::Method;
use serde_json::{Value, json};

/// A page of the log, the newest first, and the query of the next one.
async fn page(world: &World, query: &str) -> (Vec<Value>, Option<String>) {
    let reply = world.ci.call(Method::GET, &format!("/audit?{query}"), &[], None).await.unwrap();
    (reply.json().unwrap(), reply.next_query().map(str::to_owned))
}

fn line(entry: &Value) -> String {
    let words = [&entry["actor"]["owner"], &entry["action"], &entry["subject"]];
    words.map(|word| word.as_str().unwrap()).join(" ")
}

#[tokio::test]
async fn the_audit_log_has_every_change_and_no_message() {
    let (world, sink, secret) = serving(shared().await, vec![]).await;
    world.dan.register(&agent("ws")).await.unwrap();
    world.dan.register(&agent("ws")).await.unwrap();
    world.dan.update("ws", &json!({"status": "idle"})).await.unwrap();
    world.dan.update("ws", &json!({"endpoint": sink.url})).await.unwrap();
    world.dan.rotate_secret(&name("ws")).await.unwrap();
    world.dan.send(&message("ws", "ws", "secret words"), None).await.unwrap();
    let first = spawn(&world.dan, json!({"task": "one"})).await;
    let claimed = world.ci.claim(&Claim::default(), None).await.unwrap().unwrap();
    let token = claimed.lease.unwrap().token;
    let path = format!("/workers/{}", first.id);
    for mut body in [json!({}), json!({"worker_name": "w"}), json!({}), json!({"status": "failed"})]
    {
        body["lease_token"] = json!(token);
        world.ci.call(Method::PATCH, &path, &[], Some(&body)).await.unwrap();
    }
    let second = spawn(&world.dan, json!({"task": "two"})).await;
    let id = second.id.to_string();
    let body = event("worker.failed", &id, json!({}));
    assert_eq!(Call::signed(&world, &id, &secret, "audit", &body).send().await.0, 200);
    let third = spawn(&world.dan, json!({"task": "three"})).await;
    world.dan.cancel_worker(&third.id).await.unwrap();
    world.dan.deregister("ws").await.unwrap();

    let mut entries = Vec::new();
    let mut query = Some("limit=5".to_owned());
    while let Some(this) = query {
        let (found, next) = page(&world, &this).await;
        assert!(found.len() <= 5);
        entries.extend(found);
        query = next;
    }
    let done: Vec<_> = entries.iter().rev().map(line).collect();
    let tokens = done.iter().filter(|line| line.starts_with("admin token.created tok_")).count();
    assert_eq!(tokens, 3, "{done:?}");
    let rest: Vec<_> = done.iter().skip(3).map(String::as_str).collect();
    let (first, third) = (first.id.to_string(), third.id.to_string());
    assert_eq!(
        rest,
        [
            "ci config.updated config",
            "dan agent.registered ws",
            "dan agent.renewed ws",
            "dan agent.updated ws",
            "dan agent.secret_rotated ws",
            &format!("dan worker.requested {first}"),
            &format!("ci worker.claimed {first}"),
            &format!("ci worker.started {first}"),
            &format!("ci worker.failed {first}"),
            &format!("dan worker.requested {id}"),
            &format!("spawn-endpoint worker.failed {id}"),
            &format!("dan worker.requested {third}"),
            &format!("dan worker.cancelled {third}"),
            "dan agent.deregistered ws",
        ]
    );
    let everything = serde_json::to_string(&entries).unwrap();
    assert!(!everything.contains("secret words") && !everything.contains("whsec_"));

    // The entry of a revoked token names the repos that it covered; the entry of an admin
    // token, which covers all, is for admins.
    let made = entries.iter().find(|entry| entry["detail"]["owner"] == "ann");
    let ann = made.unwrap()["subject"].as_str().unwrap();
    world.admin.revoke_token(ann).await.unwrap();
    let (newest, _) = page(&world, "limit=1").await;
    assert_eq!(newest[0]["action"], "token.revoked");
    assert!(newest[0].get("repo").is_none());
}
