//! Requests that are pushed to the runner.

use super::{ECHO, Site};
use e2e::eventually;
use multiclaude_hybrid_protocol::spawn::SpawnStatus;
use reqwest::Method;
use serde_json::json;

/// Waits until the runner reports that pushes are missing, or that they work.
async fn pushes(site: &Site, missing: bool) -> serde_json::Value {
    eventually("the runner's report on pushes", || async {
        let status = site.runner.status();
        status["running"].as_bool()?;
        let pushes = status["repos"][0]["pushes"].clone();
        Some(pushes).filter(|pushes| pushes.is_string() == missing)
    })
    .await
}

#[tokio::test]
async fn a_pushed_request_is_claimed_at_once_and_a_forged_push_is_refused() {
    let mut site = Site::idle().await;
    let port = e2e::free_port();
    let url = format!("http://127.0.0.1:{port}");
    let (listen, public) = (format!("--listen=127.0.0.1:{port}"), format!("--public-url={url}"));
    // Without a push it claims once an hour.
    let flags = ["--poll=3600", listen.as_str(), public.as_str()];
    site.runner.start_sh(&flags, ECHO);
    let reason = pushes(&site, true).await;
    let endpoint = format!("{url}/spawn/{}", site.world.repo);
    assert!(reason.as_str().unwrap().contains(&format!("--spawn-endpoint {endpoint}")), "{reason}");
    site.runner.kill();
    let config = json!({
        "spawn_endpoint": endpoint, "enabled": true, "max_workers": 100, "max_spawns_per_minute": 100,
    });
    site.world.ci.call(Method::PUT, "/config", &[], Some(&config)).await.unwrap();
    site.runner.start_sh(&flags, ECHO);
    pushes(&site, false).await;
    // Its first claim is over, so only pushes can trigger the claims of these requests.
    for task in ["one", "two", "three"] {
        let request = site.ask(task).await;
        assert_eq!(site.ends(&request).await.status, SpawnStatus::Completed);
    }
    let post = |path: &str| reqwest::Client::new().post(format!("{url}{path}")).body("{}").send();
    let forged = post(&format!("/spawn/{}", site.world.repo)).await.unwrap();
    assert_eq!(forged.status(), 401);
    assert_eq!(post("/spawn/acme/other").await.unwrap().status(), 404);
    let get = reqwest::get(&endpoint).await.unwrap();
    assert_eq!(get.status(), 405);
}
