//! Config.

use crate::code;
use e2e::RepoClient;
use e2e::shared;
use futures_util::future::join_all;
use multiclaude_hybrid_client::Reply;
use multiclaude_hybrid_protocol::ErrorCode::{Forbidden, PreconditionFailed};
use multiclaude_hybrid_protocol::config::HybridConfig;
use reqwest::Method;
use serde_json::{Value, json};

async fn put(
    client: &RepoClient,
    body: &Value,
    etag: Option<&str>,
) -> Result<Reply, multiclaude_hybrid_client::Error> {
    let headers: Vec<_> = etag.iter().map(|tag| ("if-match", *tag)).collect();
    client.call(Method::PUT, "/config", &headers, Some(body)).await
}

async fn get(client: &RepoClient) -> (HybridConfig, String) {
    let reply = client.call(Method::GET, "/config", &[], None).await.unwrap();
    (reply.json().unwrap(), reply.headers["etag"].to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_repo_without_a_config_answers_the_defaults() {
    let world = shared().await.world().await;
    let (config, etag) = get(&world.dan).await;
    assert_eq!((config.enabled, config.max_workers, config.max_spawns_per_minute), (false, 10, 10));
    assert_eq!((config.repo.as_str(), etag.as_str()), (world.repo.as_str(), "\"0\""));
}

#[tokio::test]
async fn a_put_replaces_everything_and_needs_a_service_or_admin_token() {
    let world = shared().await.world().await;
    let body = json!({"enabled": true, "remote_agents": ["merge-queue"], "max_workers": 3, "encrypt": "when-possible"});
    assert_eq!(code(put(&world.dan, &body, None).await), Forbidden);
    put(&world.ci, &body, None).await.unwrap();
    let (config, _) = get(&world.dan).await;
    assert!(config.enabled && config.remote_agents == ["merge-queue"] && config.max_workers == 3);
    let admin = world.dan.with_token(&shared().await.admin);
    put(&admin, &json!({"enabled": false}), None).await.unwrap();
    let (config, _) = get(&world.dan).await;
    assert_eq!((config.enabled, config.max_workers, config.remote_agents.len()), (false, 10, 0));
}

#[tokio::test]
async fn an_if_match_of_another_version_is_412() {
    let world = shared().await.world().await;
    assert_eq!(code(put(&world.ci, &json!({}), Some("*")).await), PreconditionFailed);
    let first = put(&world.ci, &json!({"enabled": true}), Some("\"0\"")).await.unwrap();
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(code(put(&world.ci, &json!({}), Some("\"0\"")).await), PreconditionFailed);
    put(&world.ci, &json!({}), Some(&format!("\"x\", {etag}"))).await.unwrap();
    assert_eq!(code(put(&world.ci, &json!({}), Some(&etag)).await), PreconditionFailed);
}

#[tokio::test]
async fn of_twenty_racing_puts_with_one_etag_one_wins() {
    let world = shared().await.world().await;
    let configs: Vec<_> = (0..20).map(|n| json!({"max_workers": n})).collect();
    let puts = configs.iter().map(|config| put(&world.ci, config, Some("\"0\"")));
    assert_eq!(join_all(puts).await.iter().filter(|put| put.is_ok()).count(), 1);
}

#[tokio::test]
async fn only_service_and_admin_tokens_see_the_secret_and_a_put_without_one_keeps_it() {
    let world = shared().await.world().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let set = put(&world.ci, &json!({"webhook_secret": secret}), None).await.unwrap();
    assert!(set.text.contains(secret));
    put(&world.ci, &json!({"enabled": true}), None).await.unwrap();
    let seen = get(&world.ci).await.0.webhook_secret;
    assert_eq!(seen.as_deref(), Some(secret));
    assert_eq!(get(&world.dan).await.0.webhook_secret, None);
    assert_eq!(get(&world.dan.with_token(&shared().await.admin)).await.0.webhook_secret, seen);
}

#[tokio::test]
async fn of_many_puts_without_if_match_the_last_one_wins_and_none_is_refused() {
    let world = shared().await.world().await;
    let configs: Vec<_> = (1..=12).map(|limit| json!({"max_workers": limit})).collect();
    for done in join_all(configs.iter().map(|config| put(&world.ci, config, None))).await {
        done.unwrap();
    }
    assert_eq!(get(&world.ci).await.1, "\"12\"");
    put(&world.ci, &json!({"max_workers": 13}), Some("W/\"12\"")).await.unwrap();
}
