//! `work --remote`, `workers`.

use super::beside::team_runs;
use super::running::Running;
use super::{dans, ended, snapshot};
use e2e::process::{LIMIT, interrupt, output};
use e2e::{Machine, World, eventually};
use multiclaude_hybrid_client::protocol::spawn::{Claim, NewSpawn, SpawnStatus, WorkerUpdate};
use multiclaude_hybrid_protocol::AgentName;
use serde_json::json;

/// A runner takes the request and ends it.
async fn run_one(world: &World, status: SpawnStatus) {
    let runner = world.ci.typed();
    let request =
        eventually("a request", || async { runner.claim(&Claim::default(), None).await.unwrap() })
            .await;
    let lease = request.lease.unwrap().token;
    let mut update = WorkerUpdate::new(&lease);
    update.worker_name = Some(AgentName::parse("swift-owl").unwrap());
    runner.update_worker(&request.id, &update).await.unwrap();
    update.status = Some(status);
    match status {
        SpawnStatus::Completed => update.summary = Some("opened #12".to_owned()),
        _ => update.failure_reason = Some("tests fail\u{1b}[2J".to_owned()),
    }
    runner.update_worker(&request.id, &update).await.unwrap();
}

#[tokio::test]
async fn a_remote_worker_is_asked_for_listed_and_cancelled() {
    let (mut machine, world) = dans().await;
    team_runs(&world, &["worker"]).await;
    machine.multiclaude(&world.clone_url(), &[]);
    machine.enter(".multiclaude/repos/app");
    let asked = machine.run(&["work", "--remote", "Fix auth bug", "--priority", "5"]);
    let id = asked.stdout.split_whitespace().find(|word| word.starts_with("spn_"));
    let id = id.unwrap().to_owned();
    machine.run(&["workers"]);
    machine.run(&["workers", "show", &id, "--json"]);
    machine.run(&["workers", "cancel", &id]);
    machine.run(&["workers", "--status", "pending"]);
    machine.run(&["workers", "wait", &id]);
    machine.run(&["work", "Fix auth bug"]);
    machine.run(&["work", "--remote"]);
    machine.run(&["work", "--remote", "x", "--priority", "5000"]);
    machine.run(&["workers", "show", "nonsense"]);
    machine.run(&["workers", "show", "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"]);
    snapshot("work", &machine);
}

#[tokio::test]
async fn waiting_follows_a_worker_to_its_end() {
    for (status, code) in [(SpawnStatus::Completed, 0), (SpawnStatus::Failed, 9)] {
        let (mut machine, world) = dans().await;
        let mut command =
            machine.hybrid(&["work", "--repo", &world.repo, "--remote", "Fix it", "--wait"]);
        let child = command.spawn().unwrap();
        run_one(&world, status).await;
        let ended = ended(child).await;
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("waiting for a runner"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
        machine.run(&["workers", "--repo", &world.repo]);
        snapshot(&format!("waited_{}", status.as_str()), &machine);
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_waiting_and_says_how_to_go_on() {
    let (machine, world) = dans().await;
    let args = ["work", "--repo", &world.repo, "--remote", "x", "--wait"];
    let running = Running::start(&machine, &args);
    let mut said = running.until("waiting for a runner");
    interrupt(running.child.id());
    let ran = running.end().await;
    said += &ran.stderr;
    assert_eq!(ran.code, 130, "{said}");
    assert!(said.contains("workers wait spn_"), "{said}");
    assert!(said.contains("no runner has asked for work"), "{said}");
}

#[tokio::test]
async fn the_limit_of_workers_says_what_to_do() {
    let (mut machine, world) = dans().await;
    world.ci.configure(&json!({"max_workers": 1, "enabled": true})).await.unwrap();
    let line = ["work", "--repo", &world.repo, "--remote", "task"];
    machine.run(&line);
    // No runner: no request ends.
    machine.run(&line).exits(7);
    world.ci.typed().claim(&Claim::default(), None).await.unwrap().unwrap();
    machine.run(&line).exits(7);
    snapshot("worker_limit", &machine);
}

#[tokio::test]
async fn a_worker_that_is_asked_for_while_hybrid_mode_is_off_is_warned_about() {
    let (mut machine, world) = dans().await;
    let mut ci = super::on_machine(&world, &world.tokens[2], "ci");
    let line = ["work", "--repo", &world.repo, "--remote", "task"];
    let team = machine.run(&line);
    assert!(team.stderr.contains("off for the team"), "{team:?}");
    let (_, hint) = team.stderr.split_once("with a service or admin token: ").unwrap();
    ci.sh(hint.lines().next().unwrap()).exits(0);
    machine.run(&["config", &world.repo, "--hybrid=false"]);
    let here = machine.run(&line);
    assert!(here.stderr.contains("on this machine"), "{here:?}");
    let hint = here.stderr.lines().find(|line| line.contains("--hybrid=true")).unwrap();
    machine.sh(hint.trim_start_matches("hint: ")).exits(0);
    assert!(!machine.run(&line).stderr.contains("hybrid mode is off"));
}

#[tokio::test]
async fn a_task_is_refused_where_everything_is_to_be_encrypted() {
    let (mut machine, world) = dans().await;
    world.ci.configure(&json!({"encrypt": "always", "enabled": true})).await.unwrap();
    let line = ["work", "--repo", &world.repo, "--remote", "task"];
    let refused = machine.run(&line).exits(6);
    assert!(refused.stderr.contains("--encrypt=always"), "{refused:?}");
    assert!(world.ci.typed().pending_workers().await.unwrap().is_empty());
    machine.run(&[&line[..], &["--unencrypted"]].concat()).exits(0);
}

#[tokio::test]
async fn a_report_of_a_runner_is_shown_and_cannot_steer_the_terminal() {
    let (mut machine, world) = dans().await;
    team_runs(&world, &["worker"]).await;
    machine.run(&["work", "--repo", &world.repo, "--remote", "Fix it"]);
    let runner = world.ci.typed();
    let held = runner.claim(&Claim::default(), None).await.unwrap().unwrap();
    let id = held.id.to_string();
    let token = held.lease.unwrap().token;
    machine.run(&["workers", "logs", &id, "--repo", &world.repo]);
    let log = "test one … ok\r\n\u{1b}]0;owned\u{7} red\u{1b}[31m \u{202e}\u{3}\ttwo\n";
    let update = WorkerUpdate::new(&token).with_progress("1 of 2 tests").with_log(log, false);
    runner.update_worker(&held.id, &update).await.unwrap();
    machine.run(&["workers", "logs", &id, "--repo", &world.repo]);
    machine.run(&["workers", "logs", &id, "--repo", &world.repo, "--json"]);
    machine.run(&["workers", "show", &id, "--repo", &world.repo]);
    snapshot("worker_logs", &machine);
    let started = WorkerUpdate {
        worker_name: AgentName::parse("swift-owl").ok(),
        ..WorkerUpdate::new(&token)
    };
    runner.update_worker(&held.id, &started).await.unwrap();
    let wait = Running::start(&machine, &["workers", "wait", &id, "--repo", &world.repo]);
    wait.until("swift-owl is at work: 1 of 2 tests");
    let done = WorkerUpdate { status: Some(SpawnStatus::Completed), ..WorkerUpdate::new(&token) };
    runner.update_worker(&held.id, &done).await.unwrap();
    wait.end().await.exits(0);
}

#[tokio::test]
async fn a_request_that_no_runner_will_take_is_warned_about_at_once() {
    let (mut machine, world) = dans().await;
    team_runs(&world, &["worker"]).await;
    let args = ["work", "--repo", &world.repo, "--remote", "x"];
    machine.run(&args).exits(0);
    machine.run(&[&args[..], &["--json"]].concat());
    snapshot("work_without_runner", &machine);
    // Somebody who gets something, or nothing, has been seen.
    while world.ci.typed().claim(&Claim::default(), None).await.unwrap().is_some() {}
    let quiet = machine.run(&args);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
}

/// The ids of requests for these tasks, by the user dan.
async fn asked(world: &World, tasks: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for task in tasks {
        let request = world.dan.typed().spawn(&NewSpawn::new(task), None).await.unwrap();
        ids.push(request.id.to_string());
    }
    ids
}

#[tokio::test]
async fn several_requests_are_cancelled_and_one_that_fails_stops_none() {
    let (mut machine, world) = dans().await;
    machine.run(&["workers", "--repo", &world.repo, "cancel", "--all-pending"]);
    machine.run(&["workers", "--repo", &world.repo, "cancel", "--all-pending", "--json"]);
    let ids = asked(&world, &["at work", "ended", "one", "two"]).await;
    let runner = world.ci.typed();
    runner.claim(&Claim::default(), None).await.unwrap();
    let held = runner.claim(&Claim::default(), None).await.unwrap().unwrap();
    let end = WorkerUpdate {
        status: Some(SpawnStatus::Completed),
        ..WorkerUpdate::new(&held.lease.unwrap().token)
    };
    runner.update_worker(&held.id, &end).await.unwrap();
    let hers = world.ann.typed().spawn(&NewSpawn::new("hers"), None).await.unwrap();
    let hers = hers.id.to_string();
    let unknown = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";
    let mut several = vec!["workers", "--repo", &world.repo, "cancel", unknown, &hers];
    several.extend(ids[..3].iter().map(String::as_str));
    machine.run(&several).exits(5);
    let pending = world.ann.typed().pending_workers().await.unwrap();
    let left: Vec<_> = pending.iter().map(|request| request.task.as_str()).collect();
    assert_eq!(left, ["two", "hers"]);
    snapshot("cancel_several", &machine);
    machine.run(&["workers", "--repo", &world.repo, "cancel"]).exits(2);
    let both = ["workers", "--repo", &world.repo, "cancel", "--all-pending", unknown];
    machine.run(&both).exits(2);
}

#[tokio::test]
async fn all_pending_requests_are_those_that_the_token_may_cancel() {
    let (mut machine, world) = dans().await;
    asked(&world, &["at work", "one", "two"]).await;
    world.ci.typed().claim(&Claim::default(), None).await.unwrap();
    world.ann.typed().spawn(&NewSpawn::new("hers"), None).await.unwrap();
    machine.run(&["workers", "--repo", &world.repo, "cancel", "--all-pending"]);
    let requests = world.ann.typed().workers(None).await.unwrap();
    let open: Vec<_> = requests
        .iter()
        .filter(|request| request.finished_at.is_none())
        .map(|request| (request.task.as_str(), request.cancel_requested))
        .collect();
    assert_eq!(open, [("at work", false), ("hers", false)]);
    asked(&world, &["three"]).await;
    let json = ["workers", "--repo", &world.repo, "cancel", "--all-pending", "--json"];
    machine.run(&json);
    snapshot("cancel_all_pending", &machine);
}

/// Runs one git command with a name of its own: this machine's user may have none.
fn git(machine: &Machine, line: &str) {
    let mut git = machine.command("git");
    git.args(["-c", "user.name=dan", "-c", "user.email=dan@example.com"]).args(line.split(' '));
    let ran = output(&mut git, b"", LIMIT);
    assert!(ran.status.success(), "{ran:?}");
}

#[tokio::test]
async fn commits_that_are_not_pushed_are_warned_about() {
    let (mut machine, world) = dans().await;
    machine.enter("app");
    git(&machine, "init -q -b work/x .");
    git(&machine, "init -q --bare ../origin.git");
    git(&machine, "commit -q --allow-empty -m one");
    git(&machine, "remote add origin ../origin.git");
    let args = ["work", "--repo", &world.repo, "--remote", "x"];
    let warned = machine.run(&args);
    assert!(warned.stderr.contains("1 commit of work/x is not pushed"), "{warned:?}");
    git(&machine, "push -q origin work/x");
    let pushed = machine.run(&args).exits(0);
    assert!(!pushed.stderr.contains("not pushed"), "{pushed:?}");
}
