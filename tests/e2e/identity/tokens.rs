//! Tokens: what they look like, how long they hold, who manages them.

use crate::{code, problem};
use e2e::shared;
use multiclaude_hybrid_protocol::ErrorCode::{
    Forbidden, OwnerKindConflict, Unauthenticated, ValidationFailed,
};
use multiclaude_hybrid_protocol::Timestamp;
use reqwest::Method;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn a_malformed_token_is_refused_by_its_checksum_without_touching_d1() {
    let coordinator = shared().await;
    let world = coordinator.world().await;
    let mut token = world.tokens[0].clone();
    let last = if token.pop() == Some('a') { 'b' } else { 'a' };
    token.push(last);
    let refused = world.dan.client.with_token(&token).whoami().await;
    let problem = problem(refused);
    assert!(problem.detail.contains("malformed"), "{}", problem.detail);
    assert_eq!(coordinator.line(&problem.request_id).await["d1"], 0);
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[tokio::test]
async fn a_token_is_refused_from_the_moment_it_expires() {
    let world = shared().await.world().await;
    let ends = now_ms() + 15_000;
    let at = Timestamp(ends).to_string();
    let wish = json!({"kind": "user", "owner": "dan", "repos": [world.repo], "expires_at": at});
    let made = world.admin.create_token(&wish).await.unwrap();
    let client = world.admin.with_token(made.token.as_deref().unwrap());
    assert!(client.whoami().await.is_ok());
    // The coordinator knows the token by now, and refuses it nevertheless.
    e2e::until("the token's end", async || {
        let asked = now_ms();
        let answer = client.whoami().await;
        assert!(answer.is_err() || asked < ends, "it is accepted after its end");
        answer.is_err_and(|error| error.code() == Some(Unauthenticated))
    })
    .await;
    assert!(now_ms() >= ends, "it is refused before its end");
    let past = json!({"kind": "user", "owner": "dan", "repos": [world.repo], "expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(code(world.admin.create_token(&past).await), ValidationFailed);
}

#[tokio::test]
async fn the_secret_part_of_a_token_is_shown_once() {
    let world = shared().await.world().await;
    let wish = json!({"kind": "service", "owner": "ci", "repos": ["acme/*"]});
    let made = world.admin.create_token(&wish).await.unwrap();
    assert!(made.token.as_ref().unwrap().starts_with("mcs_"));
    // The newest of all is on the page after the token before it.
    let tokens = world.admin.tokens().await.unwrap();
    let at = tokens.iter().position(|token| token.id == made.id).unwrap();
    let path = format!("/tokens?limit=2&after={}", tokens[at - 1].id);
    let page = world.admin.call(Method::GET, &path, &[], None).await;
    let page = page.unwrap().text;
    assert!(page.contains(made.id.as_str()) && !page.contains("mcs_"));
}

#[tokio::test]
async fn an_owner_is_either_a_user_or_a_service_never_both() {
    let world = shared().await.world().await;
    let as_service = json!({"kind": "service", "owner": "dan", "repos": [world.repo]});
    assert_eq!(code(world.admin.create_token(&as_service).await), OwnerKindConflict);
    let as_user = json!({"kind": "user", "owner": "ci", "repos": [world.repo]});
    for maker in [&world.admin, &world.ci.client] {
        assert_eq!(code(maker.create_token(&as_user).await), OwnerKindConflict);
    }
}

#[tokio::test]
async fn a_user_token_lists_repos_and_only_a_service_token_whole_owners() {
    let world = shared().await.world().await;
    let user = json!({"kind": "user", "owner": "dan", "repos": ["acme/*"]});
    assert_eq!(code(world.admin.create_token(&user).await), ValidationFailed);
    let service = json!({"kind": "service", "owner": "ci", "repos": ["acme/*"]});
    let token = world.admin.create_token(&service).await.unwrap().token.unwrap();
    assert!(world.ci.with_token(&token).agents("").await.is_ok());
    let other = world.admin.with_token(&token).repo("acme2/app");
    assert_eq!(code(other.agents("").await), Forbidden);
}

#[tokio::test]
async fn the_list_of_tokens_shows_when_each_was_last_used() {
    let world = shared().await.world().await;
    let wish = json!({"kind": "user", "owner": "dan", "repos": [world.repo]});
    let made = world.admin.create_token(&wish).await.unwrap();
    assert_eq!(made.last_used_at, None);
    let client = world.admin.with_token(made.token.as_deref().unwrap());
    client.whoami().await.unwrap();
    let used = e2e::eventually("last_used_at", || async {
        let tokens = world.admin.tokens().await.unwrap();
        tokens.into_iter().find(|token| token.id == made.id)?.last_used_at
    })
    .await;
    assert!(used >= made.created_at);
}
