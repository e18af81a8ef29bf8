//! Two runners are killed at random: each request ends once, and no worker runs twice.

use super::{Runner, allow_many, ask, get};
use e2e::{Coordinator, Options, marked, until};
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Writes the time into a file of this run every 30 ms, for up to 1.5 s.
const WORKER: &str = "file=\"$RUNS/$MULTICLAUDE_HYBRID_WORKER.$$\"; \
    n=$(( $(od -An -N1 -tu1 /dev/urandom) % 50 )); \
    while [ $n -ge 0 ]; do date +%s%N >>\"$file\"; sleep 0.03; n=$((n - 1)); done; echo done";

/// The first and last time of each run of a request, sorted.
fn runs(dir: &Path, request: &SpawnRequest) -> Vec<(u128, u128)> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with(request.id.as_str()) {
            let text = fs::read_to_string(entry.path()).unwrap();
            let times: Vec<u128> = text.lines().filter_map(|line| line.parse().ok()).collect();
            if let (Some(first), Some(last)) = (times.first(), times.last()) {
                runs.push((*first, *last));
            }
        }
    }
    runs.sort_unstable();
    runs
}

#[tokio::test]
async fn despite_random_kills_of_two_runners_each_request_ends_once_and_runs_once_at_a_time() {
    let count = if std::env::var_os("SOAK").is_some() { 50 } else { 24 };
    let coordinator = Coordinator::start(Options { scale: 10, ..Options::default() }).await;
    let world = coordinator.world().await;
    allow_many(&world).await;
    let dir = tempfile::tempdir().unwrap();
    let mut runners = ["one", "two"].map(|node| {
        let mut runner = Runner::new(&world, &world.tokens[2], node);
        runner.machine.set("RUNS", dir.path().to_str().unwrap());
        runner
    });
    let start = |runner: &mut Runner| {
        let flags = ["--time-scale=10", "--lease=30", "--max-workers=3", "--env=RUNS"];
        runner.start_sh(&flags, WORKER);
    };
    let mut requests = Vec::new();
    for number in 0..count {
        let body = json!({ "task": format!("task {number}"), "retry": number % 2 == 0 });
        requests.push(ask(&world, &body).await);
    }
    runners.iter_mut().for_each(start);
    let all_ended = async || {
        for request in &requests {
            if get(&world, request).await.finished_at.is_none() {
                return false;
            }
        }
        true
    };
    let mut kills = 0;
    while !all_ended().await {
        assert!(kills < 400, "no end in sight");
        let which = kills % 2;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(200..2500))).await;
        runners[which].kill();
        // Sometimes longer than a lease.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..400) * fastrand::u64(1..12)))
            .await;
        start(&mut runners[which]);
        kills += 1;
    }
    for request in &requests {
        let ended = get(&world, request).await;
        let runs = runs(dir.path(), request);
        assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?} {runs:?}");
        assert!(!runs.is_empty(), "{ended:?}");
        if request.retry {
            // One after the other, never two at a time.
            for pair in runs.windows(2) {
                assert!(pair[0].1 < pair[1].0, "{} runs twice at a time: {runs:?}", request.id);
            }
        } else {
            assert_eq!(runs.len(), 1, "{} ran {runs:?}", request.id);
        }
    }
    for request in &requests {
        let what = format!("{} has left nothing", request.id);
        until(&what, async || {
            runners.iter().all(|runner| !runner.worker(request.id.as_str()).exists())
        })
        .await;
        assert_eq!(marked(request.id.as_str()), Vec::<u32>::new());
    }
    assert!(world.ci.agents("").await.unwrap().is_empty(), "agents are left");
}
