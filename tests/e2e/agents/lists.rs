//! Lists and names.

use crate::{agent, fields};
use e2e::shared;
use multiclaude_hybrid_protocol::agent::Agent;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_list_is_filtered_and_paged_by_name() {
    let world = shared().await.world().await;
    for (name, kind) in [("a", "worker"), ("b", "supervisor"), ("c", "worker"), ("d", "worker")] {
        world.dan.register(&json!({"name": name, "type": kind})).await.unwrap();
    }
    let remote = json!({"name": "e", "type": "worker", "location": "remote"});
    world.ann.register(&remote).await.unwrap();
    let names = async |query: &str| -> Vec<String> {
        let agents = world.dan.agents(query).await.unwrap();
        agents.into_iter().map(|agent| agent.name.to_string()).collect()
    };
    assert_eq!(names("type=worker").await, ["a", "c", "d", "e"]);
    assert_eq!(names("location=remote").await, ["e"]);
    assert_eq!(names("owner=ann").await, ["e"]);
    assert_eq!(names("status=idle").await, Vec::<String>::new());
    let page = world.dan.call(Method::GET, "/agents?type=worker&limit=2", &[], None).await.unwrap();
    let link = page.headers["link"].to_str().unwrap();
    assert!(
        link.contains("type=worker") && link.contains("after=c") && link.ends_with("rel=\"next\""),
        "{link}"
    );
    assert_eq!(names("type=worker&limit=2&after=c").await, ["d", "e"]);
    let last = world.dan.call(Method::GET, "/agents?limit=500", &[], None).await.unwrap();
    assert!(!last.headers.contains_key("link"));
}

#[tokio::test]
async fn a_bad_name_type_or_metadata_is_named() {
    let world = shared().await.world().await;
    for name in ["a.b", "-x", "", "system", "User", "ä", &"x".repeat(65)] {
        assert_eq!(fields(world.dan.register(&agent(name)).await), ["name"], "{name}");
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("k{n}"), json!("v"))).collect();
    let wish = json!({"name": "w", "type": "worker", "metadata": many});
    assert_eq!(fields(world.dan.register(&wish).await), ["metadata"]);
    let wish = json!({"name": "w", "type": "a b", "instance": "x/y", "location": "moon"});
    assert_eq!(fields(world.dan.register(&wish).await), ["type", "location", "instance"]);
}

#[tokio::test]
async fn owner_and_repo_are_compared_without_regard_to_case() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    let path = format!("/repos/{}/agents/w", world.repo.to_uppercase());
    let shouting = world.dan.client.call(Method::GET, &path, &[], None).await.unwrap();
    assert_eq!(shouting.json::<Agent>().unwrap().repo.as_str(), world.repo);
}
