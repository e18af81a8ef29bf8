//! Outages, suspension and expired leases.

use super::Site;
use e2e::{Coordinator, Options, marked, until};
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const UNTIL_OVER: &str =
    "echo started; until [ -e \"$HOME/over\" ]; do sleep 0.05; done; echo over";

async fn scaled(scale: u32) -> (Coordinator, Site) {
    let coordinator = Coordinator::start(Options { scale, ..Options::default() }).await;
    let world = coordinator.world().await;
    (coordinator, Site::of(world).await)
}

fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids {
        let _ = kill_process(Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap(), signal);
    }
}

impl Site {
    /// All processes of a worker, its supervisor, and the runner last.
    fn processes(&self, request: &SpawnRequest) -> Vec<u32> {
        let mut pids = marked(request.id.as_str());
        let started = self.runner.worker(request.id.as_str()).join("started.json");
        let started: Value = serde_json::from_slice(&std::fs::read(started).unwrap()).unwrap();
        pids.push(u32::try_from(started["supervisor"]["pid"].as_u64().unwrap()).unwrap());
        pids.push(self.runner.pid());
        pids
    }

    async fn starts(&self, request: &SpawnRequest) {
        let output = self.runner.worker(request.id.as_str()).join("output.log");
        self.runner.file(&output).await;
    }
}

#[tokio::test]
async fn an_outage_of_ten_minutes_stops_no_work_and_the_results_are_reported_afterwards() {
    let (mut coordinator, mut site) = scaled(30).await;
    let flags = ["--time-scale=30", "--lease=60", "--max-workers=2"];
    site.runner.start_sh(&flags, UNTIL_OVER);
    let (first, second) = (site.ask("ends meanwhile").await, site.ask("ends later").await);
    for request in [&first, &second] {
        site.starts(request).await;
    }
    coordinator.kill();
    let away = std::time::Instant::now();
    // One runner is killed, and the next one starts without a coordinator.
    site.runner.kill();
    std::fs::write(site.runner.machine.path("over"), "x").unwrap();
    for request in [&first, &second] {
        let end = site.runner.worker(request.id.as_str()).join("end.json");
        site.runner.file(&end).await;
    }
    site.runner.start_sh(&flags, "echo not again");
    // Ten minutes of the coordinator's clock, after which all leases have expired.
    let minutes = std::time::Duration::from_secs(600) / 30;
    tokio::time::sleep(minutes.saturating_sub(away.elapsed())).await;
    assert!(site.runner.worker(first.id.as_str()).exists());
    coordinator.launch().await;
    for request in [&first, &second] {
        let ended = site.ends(request).await;
        assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
        assert_eq!(ended.summary.as_deref(), Some("started\nover"));
        site.runner.forgets(request.id.as_str()).await;
    }
}

#[tokio::test]
async fn a_worker_with_retry_that_was_suspended_longer_than_its_lease_is_ended_at_once() {
    let (_coordinator, mut site) = scaled(10).await;
    site.runner.start_sh(&["--time-scale=10", "--lease=30"], UNTIL_OVER);
    let request = site.ask_with(json!({ "task": "again", "retry": true })).await;
    site.starts(&request).await;
    let pids = site.processes(&request);
    signal_all(&pids, Signal::STOP);
    // Another runner gets it.
    let body = json!({ "lease_seconds": 600 });
    until("it is given to another one", async || {
        let claimed = site.world.ci.call(Method::POST, "/workers/claim", &[], Some(&body)).await;
        claimed.unwrap().status == 200
    })
    .await;
    assert!(!marked(request.id.as_str()).is_empty());
    // Continue the worker and its supervisor first, so that the runner cannot end it.
    let (runner, its) = pids.split_last().unwrap();
    signal_all(its, Signal::CONT);
    let continued = std::time::Instant::now();
    until("it is dead", async || marked(request.id.as_str()).is_empty()).await;
    let took = continued.elapsed();
    println!("dead {took:?} after SIGCONT");
    assert!(took < std::time::Duration::from_secs(30));
    signal_all(&[*runner], Signal::CONT);
    site.runner.forgets(request.id.as_str()).await;
    // The request is the other runner's, and nothing was reported.
    let now = site.get(&request).await;
    assert_eq!((now.status, now.worker_name), (SpawnStatus::InProgress, None));
}

#[tokio::test]
async fn a_worker_with_retry_ends_with_its_lease_if_its_runner_is_dead() {
    let (_coordinator, mut site) = scaled(10).await;
    site.runner.start_sh(&["--time-scale=10", "--lease=30"], UNTIL_OVER);
    let again = site.ask_with(json!({ "task": "again", "retry": true })).await;
    site.starts(&again).await;
    site.runner.kill();
    let end = site.runner.worker(again.id.as_str()).join("end.json");
    let end = site.runner.file(&end).await;
    assert!(end.contains("\"lease_over\""), "{end}");
    assert_eq!(marked(again.id.as_str()), Vec::<u32>::new());
    // The next runner gets it, as a new worker.
    site.runner.start_sh(&["--time-scale=10", "--lease=30"], "echo at last");
    let ended = site.ends(&again).await;
    assert_eq!(ended.summary.as_deref(), Some("at last"), "{ended:?}");
}

#[tokio::test]
async fn a_worker_is_stopped_when_its_runner_learns_that_the_request_has_failed() {
    let (_coordinator, mut site) = scaled(200).await;
    site.runner.start_sh(&["--time-scale=200", "--lease=600"], UNTIL_OVER);
    let request = site.ask("run").await;
    site.starts(&request).await;
    // Longer than the hour after which the coordinator gives up on a runner.
    let runner = [site.runner.pid()];
    signal_all(&runner, Signal::STOP);
    let ended = site.ends(&request).await;
    assert_eq!(ended.failure_reason.as_deref(), Some("runner_lost"));
    assert!(!marked(request.id.as_str()).is_empty());
    signal_all(&runner, Signal::CONT);
    site.runner.forgets(request.id.as_str()).await;
}
