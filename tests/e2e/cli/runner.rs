//! `runner`, as far as it is a command.

use super::{on_machine, snapshot};
use e2e::{Machine, Runner, shared, until};

#[tokio::test]
async fn a_runner_that_cannot_run_says_what_it_lacks() {
    let mut without_login = Machine::new();
    without_login.run(&["runner", "run", "acme/app"]);
    let world = shared().await.world().await;
    let mut machine = on_machine(&world, &world.tokens[2], "box");
    let repo = world.repo.as_str();
    machine.run(&["runner", "status"]);
    machine.run(&["runner", "resume"]);
    machine.run(&["runner", "logs"]);
    machine.run(&["runner", "run"]);
    machine.run(&["runner", "run", "nonsense"]);
    machine.run(&["runner", "run", repo, "--executor", "container"]);
    machine.run(&["runner", "run", repo, "--image", "worker"]);
    machine.line(&format!("runner run {repo} --executor=container --image=w --engine=no-engine"));
    machine.run(&["runner", "run", repo, "--executor=container", "--image=w", "--secret=x"]);
    machine.run(&["runner", "run", repo, "--executor", "multiclaude"]);
    machine.run(&["runner", "run", repo, "--max-disk", "lots"]);
    machine.run(&["runner", "run", repo, "--", "agent", "{taks}"]);
    machine.run(&["mcp", "call", "list_agents", "no json"]);
    snapshot("runner_refused", &machine);
    without_login.run(&["runner", "run", "acme/app"]).exits(3);
}

#[tokio::test]
async fn the_status_of_a_runner_names_workers_repos_and_what_is_wrong() {
    let world = shared().await.world().await;
    let mut runner = Runner::new(&world, &world.tokens[2], "box");
    runner.start_sh(
        &["--label=gpu", "--max-workers=3"],
        "until [ -e \"$HOME/over\" ]; do sleep 0.1; done",
    );
    let body = serde_json::json!({ "task": "Fix auth bug\nand more", "labels": ["gpu"] });
    let asked = world.dan.call(reqwest::Method::POST, "/workers/spawn", &[], Some(&body)).await;
    asked.unwrap();
    until("it runs", async || runner.status()["workers"][0]["stage"] == "running").await;
    runner.machine.clear();
    runner.machine.run(&["runner", "pause"]);
    until("it is paused", async || runner.status()["paused"] == true).await;
    runner.machine.run(&["runner", "status"]);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"process \d+", "process PID");
    settings.add_filter(r"worker-[0-9a-f]{8} ", "worker-XXXXXXXX ");
    // A control group limits what it can here, and what it cannot is named.
    settings.add_filter(r"(?m)^not limited .*\n", "");
    settings.bind(|| snapshot("runner_status", &runner.machine));
    runner.machine.write("over", "x");
}
