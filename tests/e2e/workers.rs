//! Spawning.

use crate::{agent, code, fields, message};
use e2e::{Coordinator, Options, World, eventually, shared};
use multiclaude_hybrid_client::{Error, RepoClient};
use multiclaude_hybrid_protocol::ErrorCode::{
    BodyTooLarge, Forbidden, IdempotencyMismatch, LeaseLost, SpawnRateLimited, WorkerLimitReached,
    WorkerNotFound,
};
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;

async fn spawn(client: &RepoClient, body: &Value) -> Result<SpawnRequest, Error> {
    client
        .call(Method::POST, "/workers/spawn", &[], Some(body))
        .await?
        .json()
}

/// The claimed request, or none if there was none.
async fn claim(client: &RepoClient, body: &Value) -> Option<SpawnRequest> {
    let reply = client
        .call(Method::POST, "/workers/claim", &[], Some(body))
        .await
        .unwrap();
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
    client
        .call(Method::PATCH, &path, &[], Some(&body))
        .await?
        .json()
}

async fn get(client: &RepoClient, id: &SpawnRequest) -> SpawnRequest {
    client
        .call(Method::GET, &format!("/workers/{}", id.id), &[], None)
        .await
        .unwrap()
        .json()
        .unwrap()
}

async fn list(client: &RepoClient, path: &str) -> Vec<SpawnRequest> {
    client
        .call(Method::GET, path, &[], None)
        .await
        .unwrap()
        .json()
        .unwrap()
}

async fn limits(world: &World, per_minute: u32, workers: u32) {
    let body = json!({"max_spawns_per_minute": per_minute, "max_workers": workers});
    world
        .ci
        .call(Method::PUT, "/config", &[], Some(&body))
        .await
        .unwrap();
}

async fn scaled(scale: u32) -> (Coordinator, World) {
    let coordinator = Coordinator::start(Options {
        scale,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    (coordinator, world)
}

#[tokio::test]
async fn a_request_is_claimed_started_and_completed_and_whoever_asked_is_told() {
    let world = shared().await.world().await;
    world.dan.register(&agent("ws")).await.unwrap();
    let wish = json!({"task": "Fix auth\nbug \u{1F41B}", "spawned_by": "ws", "metadata": {"branch": "main"}});
    let asked = spawn(&world.dan, &wish).await.unwrap();
    assert_eq!(
        (asked.status, asked.priority, asked.spawned_by.as_str()),
        (SpawnStatus::Pending, 0, "ws")
    );
    assert_eq!(
        list(&world.ann, "/workers/pending").await,
        std::slice::from_ref(&asked)
    );
    let claimed = claim(&world.ci, &json!({"lease_seconds": 60}))
        .await
        .unwrap();
    assert_eq!(
        (&claimed.id, claimed.status, claimed.task.as_str()),
        (&asked.id, SpawnStatus::InProgress, asked.task.as_str())
    );
    let lease = claimed.lease.as_ref().unwrap().expires_at.0 - claimed.created_at.0;
    assert!((59_000..70_000).contains(&lease), "{lease}");
    let started = patch(&world.ci, &claimed, json!({"worker_name": "w1"}))
        .await
        .unwrap();
    assert_eq!(started.worker_name.as_ref().unwrap().as_str(), "w1");
    assert!(!started.cancel_requested && started.lease.is_none());
    let done = patch(
        &world.ci,
        &claimed,
        json!({"status": "completed", "summary": "PR #7"}),
    )
    .await
    .unwrap();
    assert_eq!(
        (done.status, done.summary.as_deref()),
        (SpawnStatus::Completed, Some("PR #7"))
    );
    assert!(done.finished_at.is_some());
    // The end may be repeated, and is told once.
    patch(&world.ci, &claimed, json!({"status": "completed"}))
        .await
        .unwrap();
    let told = world.dan.messages("ws", "wait=10").await.unwrap();
    assert!(
        told[0].body.contains("PR #7") && told[0].body.contains(asked.id.as_str()),
        "{}",
        told[0].body
    );
    assert_eq!(told[0].from.to_string(), "system");
    shared().await.run_cron().await;
    assert_eq!(world.dan.messages("ws", "").await.unwrap().len(), 1);
    assert_eq!(list(&world.dan, "/workers?status=completed").await.len(), 1);
}

#[tokio::test]
async fn a_role_names_that_owners_agent_of_the_type() {
    let world = shared().await.world().await;
    let body = json!({"name": "workspace-laptop", "type": "workspace"});
    world.dan.register(&body).await.unwrap();
    let asked = spawn(
        &world.dan,
        &json!({"task": "t", "spawned_by": "workspace:dan"}),
    )
    .await
    .unwrap();
    world
        .dan
        .call(Method::DELETE, &format!("/workers/{}", asked.id), &[], None)
        .await
        .unwrap();
    let told = world
        .dan
        .messages("workspace-laptop", "wait=10")
        .await
        .unwrap();
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
    assert!(
        spawn(&world.ci, &json!({"task": "t", "spawned_by": "hers"}))
            .await
            .is_ok()
    );
    assert_eq!(
        fields(spawn(&world.dan, &json!({"spawned_by": "a.b"})).await),
        ["task", "spawned_by"]
    );
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
        spawn(
            &world.dan,
            &json!({"task": task, "priority": priority, "labels": labels}),
        )
        .await
        .unwrap();
    }
    let order: Vec<_> = list(&world.dan, "/workers/pending")
        .await
        .into_iter()
        .map(|r| r.task)
        .collect();
    assert_eq!(order, ["gpu", "urgent", "old", "young"]);
    let mut claimed = Vec::new();
    for labels in [
        json!(["linux"]),
        json!([]),
        json!(["linux", "gpu", "x"]),
        json!([]),
        json!([]),
    ] {
        claimed.push(
            claim(&world.ci, &json!({"labels": labels}))
                .await
                .map(|r| r.task),
        );
    }
    let wanted = [
        Some("urgent"),
        Some("old"),
        Some("gpu"),
        Some("young"),
        None,
    ];
    assert_eq!(
        claimed.iter().map(Option::as_deref).collect::<Vec<_>>(),
        wanted
    );
}

#[tokio::test]
async fn the_same_key_asks_once_and_claims_once() {
    let world = shared().await.world().await;
    let key = [("idempotency-key", "k1")];
    let ask = async |task: &str| {
        world
            .dan
            .call(
                Method::POST,
                "/workers/spawn",
                &key,
                Some(&json!({"task": task})),
            )
            .await
    };
    let (first, again) = (ask("t").await.unwrap(), ask("t").await.unwrap());
    assert_eq!(
        (first.status.as_u16(), again.status.as_u16(), &first.text),
        (201, 200, &again.text)
    );
    assert_eq!(code(ask("other").await), IdempotencyMismatch);
    spawn(&world.dan, &json!({"task": "second"})).await.unwrap();
    let claim = async || -> SpawnRequest {
        world
            .ci
            .call(Method::POST, "/workers/claim", &key, None)
            .await
            .unwrap()
            .json()
            .unwrap()
    };
    let (first, again) = (claim().await, claim().await);
    assert_eq!((first.id, first.lease), (again.id, again.lease));
}

#[tokio::test]
async fn of_two_hundred_claims_at_once_over_twenty_requests_each_is_given_once() {
    let rounds = if std::env::var("SOAK").is_ok() { 10 } else { 1 };
    for _ in 0..rounds {
        let world = shared().await.world().await;
        limits(&world, 100, 100).await;
        for n in 0..20 {
            spawn(&world.dan, &json!({"task": n.to_string()}))
                .await
                .unwrap();
        }
        let claims = (0..200).map(|_| {
            let client = world.ci.clone();
            tokio::spawn(async move { claim(&client, &json!({})).await.map(|request| request.id) })
        });
        let mut given = HashMap::new();
        for claim in claims.collect::<Vec<_>>() {
            if let Some(id) = claim.await.unwrap() {
                *given.entry(id).or_insert(0) += 1;
            }
        }
        assert_eq!(given.len(), 20);
        assert!(given.values().all(|&times| times == 1), "{given:?}");
    }
}

#[tokio::test]
async fn of_fifty_requests_at_once_a_limit_of_ten_accepts_ten() {
    let rounds = if std::env::var("SOAK").is_ok() { 10 } else { 1 };
    for _ in 0..rounds {
        for (limit, wanted) in [
            ((1000, 10), WorkerLimitReached),
            ((10, 1000), SpawnRateLimited),
        ] {
            let world = shared().await.world().await;
            limits(&world, limit.0, limit.1).await;
            let asks = (0..50).map(|_| {
                let client = world.dan.clone();
                tokio::spawn(async move { spawn(&client, &json!({"task": "t"})).await })
            });
            let mut accepted = 0;
            for ask in asks.collect::<Vec<_>>() {
                match ask.await.unwrap() {
                    Ok(_) => accepted += 1,
                    Err(error) => assert_eq!(error.code(), Some(wanted)),
                }
            }
            assert_eq!(accepted, 10);
        }
    }
}

#[tokio::test]
async fn an_ended_worker_makes_room_and_a_refusal_says_when_to_come_back() {
    let world = shared().await.world().await;
    limits(&world, 3, 1).await;
    let first = spawn(&world.dan, &json!({"task": "1"})).await.unwrap();
    let url = format!("{}/repos/{}/workers/spawn", world.url, world.repo);
    let ask = reqwest::Client::new()
        .post(&url)
        .bearer_auth(&world.tokens[0])
        .body(r#"{"task":"2"}"#);
    let (status, headers, body) = crate::raw(ask).await;
    assert_eq!(
        (status, &body["code"]),
        (429, &json!("worker_limit_reached"))
    );
    assert!(
        headers["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 0
    );
    world
        .dan
        .call(Method::DELETE, &format!("/workers/{}", first.id), &[], None)
        .await
        .unwrap();
    assert!(spawn(&world.dan, &json!({"task": "2"})).await.is_ok());
}

#[tokio::test]
async fn a_runner_that_stops_before_the_start_loses_its_lease_to_the_next_claim() {
    let (_coordinator, world) = scaled(30).await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    // A lease of 30 s is one second here.
    let first = claim(&world.ci, &json!({"lease_seconds": 30}))
        .await
        .unwrap();
    assert!(claim(&world.ci, &json!({})).await.is_none());
    let second = eventually("the next claim", 20, || async {
        claim(&world.ci, &json!({})).await
    })
    .await;
    assert_eq!(second.id, asked.id);
    for body in [
        json!({"worker_name": "late"}),
        json!({"status": "completed"}),
        json!({}),
    ] {
        assert_eq!(code(patch(&world.ci, &first, body).await), LeaseLost);
    }
    let now = get(&world.dan, &asked).await;
    assert_eq!(
        (now.status, now.worker_name),
        (SpawnStatus::InProgress, None)
    );
    patch(&world.ci, &second, json!({"worker_name": "w"}))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_third_lease_that_ends_before_a_start_fails_the_request() {
    let (_coordinator, world) = scaled(300).await;
    world.dan.register(&agent("ws")).await.unwrap();
    spawn(&world.dan, &json!({"task": "t", "spawned_by": "ws"}))
        .await
        .unwrap();
    for _ in 0..3 {
        eventually("a claim", 20, || async {
            claim(&world.ci, &json!({"lease_seconds": 30})).await
        })
        .await;
    }
    let failed = eventually("the failure", 20, || async {
        list(&world.dan, "/workers?status=failed").await.pop()
    })
    .await;
    assert_eq!(failed.failure_reason.as_deref(), Some("never_started"));
    let told = world.dan.messages("ws", "wait=10").await.unwrap();
    assert!(told[0].body.contains("never_started"));
}

#[tokio::test]
async fn a_started_worker_is_given_to_nobody_else_may_come_back_late_and_fails_after_an_hour() {
    // A lease of 30 s is 0.3 s here, the hour 36 s.
    let (_coordinator, world) = scaled(100).await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({"lease_seconds": 30}))
        .await
        .unwrap();
    patch(
        &world.ci,
        &held,
        json!({"worker_name": "w", "lease_seconds": 30}),
    )
    .await
    .unwrap();
    eventually("the lease's end", 20, || async {
        get(&world.dan, &asked).await.lease_expired.then_some(())
    })
    .await;
    assert!(claim(&world.ci, &json!({})).await.is_none());
    let late = patch(&world.ci, &held, json!({"lease_seconds": 30}))
        .await
        .unwrap();
    assert_eq!(
        (late.status, late.lease_expired),
        (SpawnStatus::InProgress, false)
    );
    let failed = eventually("the hour to pass", 80, || async {
        let now = get(&world.dan, &asked).await;
        assert!(
            claim(&world.ci, &json!({})).await.is_none(),
            "it was given to a second runner"
        );
        (now.status == SpawnStatus::Failed).then_some(now)
    })
    .await;
    assert_eq!(failed.failure_reason.as_deref(), Some("runner_lost"));
    assert_eq!(
        code(patch(&world.ci, &held, json!({"status": "completed"})).await),
        LeaseLost
    );
}

#[tokio::test]
async fn with_retry_a_started_worker_whose_lease_ends_is_claimed_again() {
    let (_coordinator, world) = scaled(100).await;
    let asked = spawn(&world.dan, &json!({"task": "t", "retry": true}))
        .await
        .unwrap();
    let first = claim(&world.ci, &json!({"lease_seconds": 30}))
        .await
        .unwrap();
    patch(
        &world.ci,
        &first,
        json!({"worker_name": "w1", "lease_seconds": 30}),
    )
    .await
    .unwrap();
    let second = eventually("the second claim", 20, || async {
        claim(&world.ci, &json!({})).await
    })
    .await;
    assert_eq!(
        (second.id, second.worker_name.as_ref()),
        (asked.id.clone(), None)
    );
    assert_eq!(code(patch(&world.ci, &first, json!({})).await), LeaseLost);
}

#[tokio::test]
async fn the_scheduled_handler_notices_leases_when_nobody_asks() {
    let (coordinator, world) = scaled(300).await;
    world.dan.register(&agent("ws")).await.unwrap();
    spawn(&world.dan, &json!({"task": "t", "spawned_by": "ws"}))
        .await
        .unwrap();
    for _ in 0..3 {
        eventually("a claim", 20, || async {
            claim(&world.ci, &json!({"lease_seconds": 30})).await
        })
        .await;
    }
    let told = eventually("the notice", 20, || async {
        coordinator.run_cron().await;
        world.dan.messages("ws", "").await.unwrap().pop()
    })
    .await;
    assert!(told.body.contains("never_started"));
}

#[tokio::test]
async fn cancelling_ends_what_is_pending_and_asks_what_is_at_work_to_stop() {
    let world = shared().await.world().await;
    let cancel =
        async |client: &RepoClient, request: &SpawnRequest| -> Result<SpawnRequest, Error> {
            client
                .call(
                    Method::DELETE,
                    &format!("/workers/{}", request.id),
                    &[],
                    None,
                )
                .await?
                .json()
        };
    let pending = spawn(&world.dan, &json!({"task": "1"})).await.unwrap();
    assert_eq!(code(cancel(&world.ann, &pending).await), Forbidden);
    let ended = cancel(&world.dan, &pending).await.unwrap();
    assert_eq!(
        (ended.status, ended.failure_reason.as_deref()),
        (SpawnStatus::Failed, Some("cancelled"))
    );
    assert!(claim(&world.ci, &json!({})).await.is_none());
    spawn(&world.dan, &json!({"task": "2"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    assert!(cancel(&world.dan, &held).await.unwrap().cancel_requested);
    assert!(
        patch(&world.ci, &held, json!({}))
            .await
            .unwrap()
            .cancel_requested
    );
    let body = json!({"status": "failed", "failure_reason": "cancelled"});
    let done = patch(&world.ci, &held, body).await.unwrap();
    assert_eq!(done.failure_reason.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_lease_is_shown_to_its_claimer_alone_and_a_guess_is_refused() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    let shown = world
        .dan
        .call(Method::GET, &format!("/workers/{}", held.id), &[], None)
        .await
        .unwrap();
    assert!(!shown.text.contains(&held.lease.as_ref().unwrap().token));
    assert_eq!(
        code(
            patch(
                &world.ann,
                &held,
                json!({"lease_token": "lease_x", "status": "failed"})
            )
            .await
        ),
        LeaseLost
    );
    let other = shared().await.world().await;
    assert_eq!(
        code(patch(&other.ci, &held, json!({})).await),
        WorkerNotFound
    );
    let (owner, repo) = world.repo.split_once('/').unwrap();
    let stranger = other.dan.client.repo(owner, repo);
    assert_eq!(
        code(spawn(&stranger, &json!({"task": "t"})).await),
        Forbidden
    );
    world.dan.register(&agent("a")).await.unwrap();
    assert!(
        world
            .dan
            .send(&message("a", "a", "unrelated"), None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_repeated_end_or_cancellation_changes_nothing_and_is_recorded_once() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "x"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    let end = |summary: &str| json!({"status": "completed", "summary": summary});
    patch(&world.ci, &held, end("one")).await.unwrap();
    let again = patch(&world.ci, &held, end("two")).await.unwrap();
    assert_eq!(again.summary.as_deref(), Some("one"));
    let path = format!("/workers/{}", held.id);
    for _ in 0..2 {
        let reply = world
            .dan
            .call(Method::DELETE, &path, &[], None)
            .await
            .unwrap();
        assert_eq!(
            reply.json::<SpawnRequest>().unwrap().status,
            SpawnStatus::Completed
        );
    }
    let reply = world
        .ci
        .call(Method::GET, "/audit", &[], None)
        .await
        .unwrap();
    let entries: Vec<Value> = reply.json().unwrap();
    let actions: Vec<_> = entries
        .iter()
        .filter(|entry| entry["subject"] == held.id.to_string())
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["worker.completed", "worker.claimed", "worker.requested"]
    );
}

#[tokio::test]
async fn a_claims_key_is_free_again_after_the_end() {
    let world = shared().await.world().await;
    let key = [("idempotency-key", "again")];
    for task in ["one", "two"] {
        spawn(&world.dan, &json!({"task": task})).await.unwrap();
        let reply = world
            .ci
            .call(Method::POST, "/workers/claim", &key, None)
            .await
            .unwrap();
        let held: SpawnRequest = reply.json().unwrap();
        assert_eq!(held.task, task);
        patch(&world.ci, &held, json!({"status": "completed"}))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_to_be_cancelled_is_given_to_nobody_else() {
    // A lease of 30 s is 0.3 s.
    let coordinator = Coordinator::start(Options {
        scale: 100,
        ..Options::default()
    })
    .await;
    let world = coordinator.world().await;
    spawn(&world.dan, &json!({"task": "x", "retry": true}))
        .await
        .unwrap();
    let held = claim(&world.ci, &json!({"lease_seconds": 30}))
        .await
        .unwrap();
    let path = format!("/workers/{}", held.id);
    world
        .dan
        .call(Method::DELETE, &path, &[], None)
        .await
        .unwrap();
    let ended = eventually("the lease to end", 20, || async {
        let request = get(&world.dan, &held).await;
        (request.status != SpawnStatus::InProgress).then_some(request)
    })
    .await;
    assert_eq!(ended.status, SpawnStatus::Failed);
    assert_eq!(ended.failure_reason.as_deref(), Some("cancelled"));
    assert!(claim(&world.ci, &json!({})).await.is_none());
}
