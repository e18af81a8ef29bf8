//! Spawning.

mod cancellation;
mod leases;
mod limits;
mod logs;
mod returns;
mod runners;

use crate::{agent, code};
use e2e::RepoClient;
use e2e::{World, shared};
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_protocol::ErrorCode::{BodyTooLarge, Forbidden, IdempotencyMismatch};
use multiclaude_hybrid_protocol::spawn::{Claim, SpawnRequest, SpawnStatus};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn spawn(client: &RepoClient, body: &Value) -> Result<SpawnRequest, Error> {
    client.call(Method::POST, "/workers/spawn", &[], Some(body)).await?.json()
}

/// The claimed request, or none if there was none.
async fn claim(client: &RepoClient, body: &Value) -> Option<SpawnRequest> {
    let reply = client.call(Method::POST, "/workers/claim", &[], Some(body)).await.unwrap();
    (reply.status == 200).then(|| reply.json().unwrap())
}

async fn patch(
    client: &RepoClient,
    request: &SpawnRequest,
    body: Value,
) -> Result<SpawnRequest, Error> {
    let mut body = body;
    if body.get("lease_token").is_none() {
        body["lease_token"] = json!(request.lease.as_ref().unwrap().token);
    }
    let path = format!("/workers/{}", request.id);
    client.call(Method::PATCH, &path, &[], Some(&body)).await?.json()
}

async fn get(client: &RepoClient, request: &SpawnRequest) -> SpawnRequest {
    client.worker(&request.id).await.unwrap()
}

/// The actions that the audit log has of a request, the newest first.
async fn recorded(world: &World, request: &SpawnRequest) -> Vec<&'static str> {
    let mut entries = world.ci.audit(100).await.unwrap();
    entries.retain(|entry| entry.subject == request.id.as_str());
    entries.into_iter().map(|entry| entry.action.as_str()).collect()
}

async fn limits(world: &World, per_minute: u32, workers: u32) {
    let body = json!({"max_spawns_per_minute": per_minute, "max_workers": workers});
    world.ci.configure(&body).await.unwrap();
}

#[tokio::test]
async fn a_request_is_claimed_started_and_completed_and_its_sender_gets_a_notice() {
    let world = shared().await.world().await;
    world.dan.register(&agent("ws")).await.unwrap();
    let wish = json!({"task": "Fix auth\nbug \u{1F41B}", "spawned_by": "ws", "metadata": {"branch": "main"}});
    let asked = spawn(&world.dan, &wish).await.unwrap();
    assert_eq!(
        (asked.status, asked.priority, asked.spawned_by.as_str()),
        (SpawnStatus::Pending, 0, "ws")
    );
    assert_eq!(world.ann.pending_workers().await.unwrap(), std::slice::from_ref(&asked));
    let claimed = claim(&world.ci, &json!({"lease_seconds": 60})).await.unwrap();
    assert_eq!(
        (&claimed.id, claimed.status, claimed.task.as_str()),
        (&asked.id, SpawnStatus::InProgress, asked.task.as_str())
    );
    let lease = claimed.lease.as_ref().unwrap().expires_at.0 - claimed.created_at.0;
    assert!((59_000..70_000).contains(&lease), "{lease}");
    let started = patch(&world.ci, &claimed, json!({"worker_name": "w1"})).await.unwrap();
    assert_eq!(started.worker_name.as_ref().unwrap().as_str(), "w1");
    assert!(!started.cancel_requested && started.lease.is_none());
    let done = patch(&world.ci, &claimed, json!({"status": "completed", "summary": "PR #7"}))
        .await
        .unwrap();
    assert_eq!((done.status, done.summary.as_deref()), (SpawnStatus::Completed, Some("PR #7")));
    assert!(done.finished_at.is_some());
    // The end may be repeated, and there is one notice.
    patch(&world.ci, &claimed, json!({"status": "completed"})).await.unwrap();
    let told = world.dan.messages("ws", "wait=10").await.unwrap();
    assert!(
        told[0].body.contains("PR #7") && told[0].body.contains(asked.id.as_str()),
        "{}",
        told[0].body
    );
    assert_eq!(told[0].from.to_string(), "system");
    shared().await.run_cron().await;
    assert_eq!(world.dan.messages("ws", "").await.unwrap().len(), 1);
    assert_eq!(world.dan.workers(Some(SpawnStatus::Completed)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_role_names_that_owners_agent_of_the_type() {
    let world = shared().await.world().await;
    let body = json!({"name": "workspace-laptop", "type": "workspace"});
    world.dan.register(&body).await.unwrap();
    let asked =
        spawn(&world.dan, &json!({"task": "t", "spawned_by": "workspace:dan"})).await.unwrap();
    world.ci.cancel_worker(&asked.id).await.unwrap();
    let told = world.dan.messages("workspace-laptop", "wait=10").await.unwrap();
    assert!(told[0].body.contains("cancelled"), "{}", told[0].body);
    let mine = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    assert_eq!(mine.spawned_by, "user:dan");
}

#[tokio::test]
async fn spawned_by_is_one_that_the_caller_may_act_for() {
    let world = shared().await.world().await;
    world.ann.register(&agent("hers")).await.unwrap();
    for by in ["hers", "workspace:ann", "user:ann", "nobody"] {
        let refused = spawn(&world.dan, &json!({"task": "t", "spawned_by": by})).await;
        assert_eq!(code(refused), Forbidden, "{by}");
    }
    assert_eq!(
        code(spawn(&world.ci, &json!({"task": "t", "spawned_by": "user:ci"})).await),
        Forbidden
    );
    assert!(spawn(&world.ci, &json!({"task": "t", "spawned_by": "hers"})).await.is_ok());
    let large = json!({"task": "x".repeat(65_537)});
    assert_eq!(code(spawn(&world.dan, &large).await), BodyTooLarge);
}

#[tokio::test]
async fn the_most_urgent_goes_first_then_the_oldest_and_labels_must_fit() {
    let world = shared().await.world().await;
    for (task, priority, labels) in [
        ("old", 0, json!([])),
        ("urgent", 5, json!([])),
        ("young", 0, json!([])),
        ("gpu", 9, json!(["gpu", "linux"])),
    ] {
        spawn(&world.dan, &json!({"task": task, "priority": priority, "labels": labels}))
            .await
            .unwrap();
    }
    let order: Vec<_> =
        world.dan.pending_workers().await.unwrap().into_iter().map(|r| r.task).collect();
    assert_eq!(order, ["gpu", "urgent", "old", "young"]);
    let mut claimed = Vec::new();
    for labels in [json!(["linux"]), json!([]), json!(["linux", "gpu", "x"]), json!([]), json!([])]
    {
        claimed.push(claim(&world.ci, &json!({"labels": labels})).await.map(|r| r.task));
    }
    let wanted = [Some("urgent"), Some("old"), Some("gpu"), Some("young"), None];
    assert_eq!(claimed.iter().map(Option::as_deref).collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn the_same_key_asks_once_and_claims_once() {
    let world = shared().await.world().await;
    let key = [("idempotency-key", "k1")];
    let ask = async |task: &str| {
        world.dan.call(Method::POST, "/workers/spawn", &key, Some(&json!({"task": task}))).await
    };
    let (first, again) = (ask("t").await.unwrap(), ask("t").await.unwrap());
    assert_eq!(
        (first.status.as_u16(), again.status.as_u16(), &first.text),
        (201, 200, &again.text)
    );
    assert_eq!(code(ask("other").await), IdempotencyMismatch);
    spawn(&world.dan, &json!({"task": "second"})).await.unwrap();
    let claim = async || world.ci.claim(&Claim::default(), Some("k1")).await.unwrap().unwrap();
    let (first, again) = (claim().await, claim().await);
    assert_eq!((first.id, first.lease), (again.id, again.lease));
}
