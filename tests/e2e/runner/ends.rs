//! Cancelled, lost, drained and killed workers: each request ends once, and nothing is left.

use super::{ECHO, Site};
use e2e::{marked, until};
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Runs until a file exists in the home.
const UNTIL_OVER: &str = "echo started; until [ -e \"$HOME/over\" ]; do sleep 0.1; done; echo over";

impl Site {
    fn over(&self) {
        std::fs::write(self.runner.machine.path("over"), "x").unwrap();
    }

    /// Waits until its supervisor runs, and returns its process.
    pub(super) async fn supervisor(&self, id: &str) -> Pid {
        let started = self.runner.file(&self.runner.worker(id).join("started.json")).await;
        let started: serde_json::Value = serde_json::from_str(&started).unwrap();
        Pid::from_raw(i32::try_from(started["supervisor"]["pid"].as_i64().unwrap()).unwrap())
            .unwrap()
    }
}

#[tokio::test]
async fn a_cancelled_worker_is_stopped_and_reported_as_cancelled() {
    let site = Site::with(&["--lease=30"], UNTIL_OVER).await;
    let request = site.ask("run").await;
    site.works(&request).await;
    site.supervisor(request.id.as_str()).await;
    let path = format!("/workers/{}", request.id);
    site.world.dan.call(Method::DELETE, &path, &[], None).await.unwrap();
    let ended = site.ends(&request).await;
    assert_eq!(ended.failure_reason.as_deref(), Some("cancelled"));
    site.runner.forgets(request.id.as_str()).await;
}

#[tokio::test]
async fn after_a_kill_a_runner_finds_both_running_and_ended_workers_again() {
    let mut site = Site::with(&["--max-workers=3"], UNTIL_OVER).await;
    let (runs, ends) = (site.ask("runs").await, site.ask("ends").await);
    for request in [&runs, &ends] {
        until("it runs", async || !marked(request.id.as_str()).is_empty()).await;
    }
    site.runner.kill();
    assert!(!marked(runs.id.as_str()).is_empty());
    site.runner.start_sh(&["--max-workers=3"], ECHO);
    // The next runner follows them.
    until("they are followed", async || {
        let log = site.runner.log();
        log.matches("a worker of an earlier runner is followed").count() == 2
    })
    .await;
    site.runner.kill();
    site.over();
    for request in [&runs, &ends] {
        let end = site.runner.worker(request.id.as_str()).join("end.json");
        site.runner.file(&end).await;
    }
    site.runner.start_sh(&["--max-workers=3"], ECHO);
    for request in [&runs, &ends] {
        let ended = site.ends(request).await;
        assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
        assert!(ended.summary.unwrap().ends_with("over"));
        site.runner.forgets(request.id.as_str()).await;
    }
}

#[tokio::test]
async fn a_worker_whose_supervisor_is_killed_is_cleaned_up_and_reported() {
    for runner_too in [false, true] {
        let mut site = Site::new("setsid sleep 700 & sleep 701").await;
        let request = site.ask("run").await;
        let supervisor = site.supervisor(request.id.as_str()).await;
        until("both run", async || marked(request.id.as_str()).len() >= 3).await;
        if runner_too {
            site.runner.kill();
        }
        kill_process(supervisor, Signal::KILL).unwrap();
        if runner_too {
            site.runner.start_sh(&[], ECHO);
        }
        let ended = site.ends(&request).await;
        let reason = ended.failure_reason.unwrap();
        assert!(reason.starts_with("its supervisor was killed"), "{reason}");
        site.runner.forgets(request.id.as_str()).await;
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_in_a_crash_is_repeated() {
    let mut site = Site::idle().await;
    // A runner that was killed between its claim and the answer leaves this key.
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let key = &format!("{}-0193a1b2-0000-4000-8000-000000000001", machine.trim());
    let claims = format!(".multiclaude-hybrid/runner/claims/{}", site.world.repo);
    site.runner.machine.write(&claims, key);
    let request = site.ask("once").await;
    let headers = [("Idempotency-Key", key.as_str())];
    let body = json!({ "lease_seconds": 60 });
    let claimed =
        site.world.ci.call(Method::POST, "/workers/claim", &headers, Some(&body)).await.unwrap();
    assert_eq!(claimed.status, 200);
    site.runner.start_sh(&[], ECHO);
    assert_eq!(site.ends(&request).await.status, SpawnStatus::Completed);
    let again = site.ask("twice").await;
    assert_eq!(site.ends(&again).await.status, SpawnStatus::Completed);
}

#[tokio::test]
async fn a_draining_runner_claims_nothing_and_ends_with_its_workers() {
    let mut site = Site::with(&["--max-workers=1"], UNTIL_OVER).await;
    let runs = site.ask("runs").await;
    site.supervisor(runs.id.as_str()).await;
    let waits = site.ask("waits").await;
    site.runner.terminate();
    until("it drains", async || site.runner.status()["draining"] == true).await;
    site.over();
    site.runner.end();
    assert_eq!(site.get(&runs).await.status, SpawnStatus::Completed);
    assert_eq!(site.get(&waits).await.status, SpawnStatus::Pending);
}

#[tokio::test]
async fn workers_that_outlast_a_drain_are_stopped_and_requests_with_retry_are_given_back() {
    let mut site = Site::with(&["--max-workers=2", "--drain=1"], UNTIL_OVER).await;
    let once = site.ask("once").await;
    let retry = site.ask_with(json!({ "task": "again", "retry": true })).await;
    for request in [&once, &retry] {
        site.supervisor(request.id.as_str()).await;
    }
    site.runner.stop();
    let ended = site.get(&once).await;
    assert!(ended.failure_reason.unwrap().starts_with("runner_stopped"));
    assert_eq!(site.get(&retry).await.status, SpawnStatus::Pending);
    for request in [&once, &retry] {
        site.runner.forgets(request.id.as_str()).await;
    }
}

#[tokio::test]
async fn a_paused_runner_claims_nothing_until_it_is_resumed() {
    let mut site = Site::idle().await;
    site.runner.machine.run(&["runner", "pause"]).exits(0);
    site.runner.start_sh(&[], ECHO);
    until("it is paused", async || site.runner.status()["paused"] == true).await;
    let request = site.ask("wait").await;
    // Two rounds of polling, which is longer than a claim takes.
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    assert_eq!(site.get(&request).await.status, SpawnStatus::Pending);
    site.runner.machine.run(&["runner", "resume"]).exits(0);
    assert_eq!(site.ends(&request).await.status, SpawnStatus::Completed);
}
