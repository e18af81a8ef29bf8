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
async fn every_bad_field_of_a_registration_is_named() {
    let world = shared().await.world().await;
    let wish = json!({"name": "w", "type": "a b", "instance": "x/y", "location": "moon"});
    assert_eq!(fields(world.dan.register(&wish).await), ["type", "location", "instance"]);
}

#[tokio::test]
async fn a_repo_is_the_same_in_any_case_and_as_one_escaped_segment() {
    let world = shared().await.world().await;
    world.dan.register(&agent("w")).await.unwrap();
    let repo = &world.repo;
    for repo in [repo.to_uppercase(), repo.replace('/', "%2F"), repo.replace('/', "%2f")] {
        let path = format!("/repos/{repo}/agents/w");
        let found = world.dan.client.call(Method::GET, &path, &[], None).await.unwrap();
        assert_eq!(found.json::<Agent>().unwrap().repo.as_str(), world.repo);
    }
}
