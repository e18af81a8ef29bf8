//! Workers of the multiclaude on the runner's machine.

use super::{allow_many, ask, get};
use e2e::{Site, World, eventually, shared, until};
use multiclaude_hybrid_protocol::spawn::{SpawnRequest, SpawnStatus};
use reqwest::Method;
use serde_json::json;
use std::process::Child;

/// A machine with multiclaude, a bridge and a runner.
struct Host {
    world: World,
    site: Site,
    runner: Option<Child>,
}

impl Host {
    async fn new() -> Self {
        let world = shared().await.world().await;
        allow_many(&world).await;
        let mut site = Site::new(&world, &world.tokens[2], "box");
        site.bridge(&[], &[]).await;
        let mut host = Self { world, site, runner: None };
        host.start();
        host
    }

    fn start(&mut self) {
        let flags = ["--executor=multiclaude", "--poll=1", "--lease=30"];
        let mut command = self.site.machine.hybrid(&["runner", "run", &self.world.repo]);
        let path = self.site.machine.path("runner.log");
        let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
        command.args(flags).stdout(log.try_clone().unwrap()).stderr(log);
        self.runner = Some(command.spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut runner) = self.runner.take() {
            runner.kill().unwrap();
            runner.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.site.machine.path("runner.log")).unwrap_or_default()
    }

    async fn is(
        &self,
        request: &SpawnRequest,
        check: impl Fn(&SpawnRequest) -> bool,
    ) -> SpawnRequest {
        let what = format!("{}:\n{}", request.id, self.log());
        eventually(&what, || async { Some(get(&self.world, request).await).filter(&check) }).await
    }

    /// Waits until multiclaude has the worker; returns its local name.
    async fn local(&self, request: &SpawnRequest) -> String {
        let now = self.is(request, |now| now.worker_name.is_some()).await;
        let name = now.worker_name.unwrap().to_string();
        let local = name.strip_suffix("-box").unwrap().to_owned();
        // Its worktree is there before multiclaude knows it.
        let what = format!("{local} in multiclaude's state:\n{}", self.log());
        until(&what, async || self.state()["repos"]["app"]["agents"][&local].is_object()).await;
        local
    }

    fn state(&self) -> serde_json::Value {
        let state = self.site.machine.read(".multiclaude/state.json");
        serde_json::from_str(&state).unwrap_or_default()
    }

    async fn ends(&self, request: &SpawnRequest) -> SpawnRequest {
        self.is(request, |now| now.finished_at.is_some()).await
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
async fn a_worker_of_multiclaude_is_an_agent_of_the_bridge_and_its_end_is_reported() {
    let mut host = Host::new().await;
    let task = "-- \"Fix\" $(touch proof)\nand more";
    let request = ask(&host.world, &json!({ "task": task })).await;
    let local = host.local(&request).await;
    let name = format!("{local}-box");
    host.site.registers(&name).await;
    assert_eq!(host.world.dan.agent(&name).await.unwrap().metadata["local_name"], local.as_str());
    // The whole task is in the file that the argument names.
    let given = host.state()["repos"]["app"]["agents"][&local]["task"].as_str().unwrap().to_owned();
    assert!(
        given.starts_with("Task: -- \"Fix\" $(touch proof) (the whole task is in the file /"),
        "{given}"
    );
    let file = given.rsplit("file ").next().unwrap().trim_end_matches(')');
    assert_eq!(std::fs::read_to_string(file).unwrap(), task);
    // A runner that was killed finds it again.
    host.kill();
    host.start();
    let done = ["agent", "complete", "--summary", "opened #7"];
    assert!(host.site.multiclaude(Some(&local), &done).status.success());
    let ended = host.ends(&request).await;
    assert_eq!(
        (ended.status, ended.summary.as_deref()),
        (SpawnStatus::Completed, Some("opened #7"))
    );
    assert_eq!(ended.worker_name.unwrap().as_str(), name);
}

#[tokio::test]
async fn a_worker_that_reports_a_failure_is_removed_or_is_cancelled_fails_with_that_reason() {
    let host = Host::new().await;
    let request = ask(&host.world, &json!({ "task": "fail" })).await;
    let local = host.local(&request).await;
    let failed = ["agent", "complete", "--failure", "no access"];
    assert!(host.site.multiclaude(Some(&local), &failed).status.success());
    let reason = host.ends(&request).await.failure_reason.unwrap();
    assert!(reason.ends_with("no access"), "{reason}");

    let request = ask(&host.world, &json!({ "task": "be removed" })).await;
    let local = host.local(&request).await;
    host.site.ok(&["worker", "rm", &local, "--repo", "app"]);
    let reason = host.ends(&request).await.failure_reason.unwrap();
    assert!(reason.contains("somebody removed it"), "{reason}");

    let request = ask(&host.world, &json!({ "task": "be cancelled" })).await;
    let local = host.local(&request).await;
    let path = format!("/workers/{}", request.id);
    host.world.dan.call(Method::DELETE, &path, &[], None).await.unwrap();
    let ended = host.ends(&request).await;
    assert_eq!(ended.failure_reason.as_deref(), Some("cancelled"));
    let gone = format!("{local} is gone");
    until(&gone, async || !host.site.worktree(&local).exists()).await;
}
