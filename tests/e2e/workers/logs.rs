//! Reports of a runner while its worker is at work.

use super::{claim, get, patch, spawn};
use crate::code;
use e2e::{Coordinator, Options, eventually, shared};
use multiclaude_hybrid_protocol::ErrorCode::{Forbidden, LeaseLost, LogNotFound, WorkerNotFound};
use multiclaude_hybrid_protocol::spawn::{Claim, WorkerUpdate};
use multiclaude_hybrid_protocol::{SpawnId, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn progress_is_shown_until_it_is_replaced_or_the_request_returns() {
    let world = shared().await.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t", "retry": true})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    for (given, shown) in [
        (json!({"worker_name": "w", "progress": "reads"}), Some("reads")),
        (json!({}), Some("reads")),
        (json!({"progress": "writes"}), Some("writes")),
        (json!({"progress": ""}), None),
        (json!({"progress": "tests"}), Some("tests")),
    ] {
        let answer = patch(&world.ci, &held, given).await.unwrap();
        assert_eq!(answer.progress.as_deref(), shown);
        assert_eq!(get(&world.ann, &asked).await.progress.as_deref(), shown);
    }
    assert_eq!(world.ann.workers(None).await.unwrap()[0].progress.as_deref(), Some("tests"));
    let returned = patch(&world.ci, &held, json!({"status": "pending"})).await.unwrap();
    assert_eq!(returned.progress, None);
}

#[tokio::test]
async fn the_latest_log_is_read_by_those_who_may_cancel() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let (runner, dan) = (&world.ci, &world.dan);
    let held = runner.claim(&Claim::default(), None).await.unwrap().unwrap();
    let token = &held.lease.as_ref().unwrap().token;
    assert_eq!(dan.worker_log(&held.id).await.unwrap_err().code(), Some(LogNotFound));
    let logs = ["one\n", "two \u{1b}[1m\u{0}\u{1F41B} } \" \\ é\r\n"];
    for (log, whole) in logs.into_iter().zip([false, true]) {
        let update = WorkerUpdate::new(token).with_log(log, whole);
        let answer = runner.update_worker(&held.id, &update).await.unwrap();
        assert!(!serde_json::to_string(&answer).unwrap().contains("log"));
        let kept = dan.worker_log(&held.id).await.unwrap();
        assert_eq!((kept.id, kept.log.as_str(), kept.truncated), (held.id.clone(), log, !whole));
        assert!(kept.updated_at > held.created_at);
    }
    assert!(runner.worker_log(&held.id).await.is_ok());
    let refused = world.ann.worker_log(&held.id).await.unwrap_err();
    assert_eq!(refused.code(), Some(Forbidden));
    assert!(refused.to_string().contains("asked for by another owner"), "{refused}");
    let unknown = SpawnId::new(Timestamp(1), [7; 10]);
    assert_eq!(dan.worker_log(&unknown).await.unwrap_err().code(), Some(WorkerNotFound));
    // It comes with the end, too; what is no longer the runner's changes nothing.
    let done = json!({"status": "completed", "log_tail": "done"});
    patch(&world.ci, &held, done).await.unwrap();
    assert_eq!(code(patch(&world.ci, &held, json!({"log_tail": "late"})).await), LeaseLost);
    patch(&world.ci, &held, json!({"status": "completed", "log_tail": "late"})).await.unwrap();
    assert_eq!(dan.worker_log(&held.id).await.unwrap().log, "done");
}

#[tokio::test]
async fn a_log_of_64_kib_is_taken_however_it_is_escaped() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    // Six bytes for each of these, and results at their limits.
    let (log, result) = ("\u{1}".repeat(65_536), "\u{1}".repeat(16_384));
    let full = json!({"log_tail": log, "summary": result, "failure_reason": result});
    patch(&world.ci, &held, full).await.unwrap();
    assert_eq!(world.dan.worker_log(&held.id).await.unwrap().log, log);
}

#[tokio::test]
async fn a_log_costs_a_statement_in_the_same_batch_and_its_absence_nothing() {
    let world = shared().await.world().await;
    spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({})).await.unwrap();
    let token = json!(held.lease.unwrap().token);
    let path = format!("/workers/{}", held.id);
    let statements = async |method: Method, path: &str, body: Option<Value>| {
        let reply = world.ci.call(method, path, &[], body.as_ref()).await.unwrap();
        shared().await.line_of(&reply).await["d1"].as_u64().unwrap()
    };
    for (mut body, wanted) in
        [(json!({}), 2), (json!({"progress": "p"}), 2), (json!({"log_tail": "l"}), 3)]
    {
        body["lease_token"] = token.clone();
        assert_eq!(statements(Method::PATCH, &path, Some(body)).await, wanted);
    }
    assert_eq!(statements(Method::GET, &format!("{path}/log"), None).await, 1);
}

#[tokio::test]
async fn a_log_goes_with_its_request() {
    // Thirty days are 8.64 s here, an hour's lease 10.8 s.
    let mut coordinator =
        Coordinator::start(Options { scale: 300_000, ..Options::default() }).await;
    let world = coordinator.world().await;
    let asked = spawn(&world.dan, &json!({"task": "t"})).await.unwrap();
    let held = claim(&world.ci, &json!({"lease_seconds": 3600})).await.unwrap();
    patch(&world.ci, &held, json!({"status": "completed", "log_tail": "l"})).await.unwrap();
    let dan = &world.dan;
    assert_eq!(dan.worker_log(&asked.id).await.unwrap().log, "l");
    eventually("the request to go", || async {
        coordinator.run_cron().await;
        dan.worker(&asked.id).await.err().filter(|error| error.code() == Some(WorkerNotFound))
    })
    .await;
    coordinator.kill();
    let rows = coordinator.execute_sql(
        "SELECT (SELECT count(*) FROM spawns) AS requests, (SELECT count(*) FROM spawn_logs) AS logs",
    );
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows[0]["results"][0], json!({"requests": 0, "logs": 0}), "{rows}");
}
