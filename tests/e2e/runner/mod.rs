//! The runner: a request is run once on another machine, and its end is reported.

mod agents;
mod chaos;
mod containers;
mod ends;
mod image;
mod leases;
mod limits;
mod multiclaude;
mod pushes;

use e2e::{Runner, World, eventually, shared};
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use reqwest::Method;
use serde_json::{Value, json};

/// Copies the task into the home, and prints a line.
const ECHO: &str =
    "cat \"$MULTICLAUDE_HYBRID_TASK_FILE\" >\"$HOME/task.$MULTICLAUDE_HYBRID_WORKER\"; echo done";

/// A repo with a runner for it.
struct Site {
    world: World,
    runner: Runner,
}

impl Site {
    /// The workers run this line of shell.
    async fn new(line: &str) -> Self {
        Self::with(&[], line).await
    }

    /// The workers run this line of shell, and the runner has these flags.
    async fn with(flags: &[&str], line: &str) -> Self {
        let mut site = Self::idle().await;
        site.runner.start_sh(flags, line);
        site
    }

    /// The runner is not started yet.
    async fn idle() -> Self {
        Self::of(shared().await.world().await).await
    }

    /// Uses this repo and its coordinator.
    async fn of(world: World) -> Self {
        allow_many(&world).await;
        let runner = Runner::new(&world, &world.tokens[2], "box");
        Self { world, runner }
    }

    /// Requests a worker.
    async fn ask(&self, task: &str) -> SpawnRequest {
        self.ask_with(json!({ "task": task })).await
    }

    async fn ask_with(&self, body: Value) -> SpawnRequest {
        ask(&self.world, &body).await
    }

    async fn get(&self, request: &SpawnRequest) -> SpawnRequest {
        get(&self.world, request).await
    }

    /// Waits for its end.
    async fn ends(&self, request: &SpawnRequest) -> SpawnRequest {
        self.is(request, "its end", |now| now.finished_at.is_some()).await
    }

    /// Waits until it is at work.
    async fn works(&self, request: &SpawnRequest) -> SpawnRequest {
        self.is(request, "at work", |now| now.worker_name.is_some()).await
    }

    async fn is(
        &self,
        request: &SpawnRequest,
        what: &str,
        check: impl Fn(&SpawnRequest) -> bool,
    ) -> SpawnRequest {
        let what = format!("{what} of {}:\n{}", request.id, self.runner.log());
        eventually(&what, || async { Some(self.get(request).await).filter(&check) }).await
    }
}

async fn allow_many(world: &World) {
    let config = json!({ "max_spawns_per_minute": 1000, "max_workers": 1000, "enabled": true });
    world.ci.call(Method::PUT, "/config", &[], Some(&config)).await.unwrap();
}

async fn ask(world: &World, body: &Value) -> SpawnRequest {
    world.dan.call(Method::POST, "/workers/spawn", &[], Some(body)).await.unwrap().json().unwrap()
}

async fn get(world: &World, request: &SpawnRequest) -> SpawnRequest {
    let path = format!("/workers/{}", request.id);
    world.dan.call(Method::GET, &path, &[], None).await.unwrap().json().unwrap()
}

#[tokio::test]
async fn a_request_of_one_home_is_run_in_another_and_its_end_is_reported() {
    let site =
        Site::new("echo working; echo 'opened #12' >\"$MULTICLAUDE_HYBRID_SUMMARY_FILE\"; pwd; ls")
            .await;
    let mut dan = e2e::Machine::new();
    dan.run_with(&["login", "--url", &site.world.url], &site.world.tokens[0]).exits(0);
    let repo = site.world.repo.as_str();
    let ran = dan.run(&["work", "--remote", "--repo", repo, "--wait", "Fix auth bug"]);
    assert_eq!(ran.code, 0, "{ran:?}\n{}", site.runner.log());
    assert!(ran.stdout.contains("completed") && ran.stdout.contains("opened #12"), "{ran:?}");
    let id = site.world.dan.call(Method::GET, "/workers", &[], None).await.unwrap();
    let id = id.json::<Vec<SpawnRequest>>().unwrap()[0].id.clone();
    site.runner.forgets(id.as_str()).await;
    assert!(!site.runner.given(id.as_str()).exists());
    // It is no longer registered.
    assert!(site.world.ci.agents("").await.unwrap().is_empty());
}

#[tokio::test]
async fn any_task_reaches_its_worker_byte_for_byte_and_is_not_run_as_a_command() {
    let site = Site::with(&["--max-workers=4"], ECHO).await;
    let long = "Lange Zeile mit Ümläuten und 'quotes' \"double\" `x`\n".repeat(1200);
    let tasks = [
        "-rf / --help",
        "it's \"quoted\"\nand\r\n\tmore\\",
        "$(touch $HOME/proof) `touch $HOME/proof` ; rm -rf x & | > y",
        "{task_file} {name} {{x}}",
        "\u{202e}evil\u{1b}[2J\u{7}",
        &long[..60_000],
    ];
    let mut asked = Vec::new();
    for task in tasks {
        asked.push((task, site.ask(task).await));
    }
    for (task, request) in asked {
        let ended = site.ends(&request).await;
        assert_eq!(ended.status, SpawnStatus::Completed, "{ended:?}");
        let file = site.runner.machine.path(&format!("task.{}", request.id));
        assert_eq!(std::fs::read_to_string(file).unwrap(), task);
    }
    assert!(!site.runner.machine.path("proof").exists());
}
