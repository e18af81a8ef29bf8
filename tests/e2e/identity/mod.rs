//! Identity and tokens.

mod tokens;

use crate::{agent, code, http, message, raw};
use e2e::{Coordinator, Options, shared};
use multiclaude_hybrid_protocol::ErrorCode::{Forbidden, HttpsRequired, Misconfigured};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn everything_but_health_needs_a_token() {
    let coordinator = shared().await;
    let http = http();
    let (status, _, body) = raw(http.get(format!("{}/health", coordinator.url()))).await;
    assert_eq!((status, &body["d1"]), (200, &json!("ok")));
    for path in ["/whoami", "/tokens", "/repos/acme/app/agents", "/repos/acme/app/messages/x"] {
        let (status, headers, body) = raw(http.get(format!("{}{path}", coordinator.url()))).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")), "{path}");
        assert!(headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn outside_its_scope_a_caller_gets_403_for_what_does_not_exist_too() {
    let coordinator = shared().await;
    let (mine, other) = (coordinator.world().await, coordinator.world().await);
    let stranger = mine.dan.client.repo(&other.repo);
    let name = "not-there";
    assert_eq!(code(stranger.agent(name).await), Forbidden);
    assert_eq!(code(stranger.messages(name, "").await), Forbidden);
    assert_eq!(code(stranger.deregister(name).await), Forbidden);
    assert_eq!(code(stranger.update(name, &json!({})).await), Forbidden);
    assert_eq!(code(stranger.send(&message("user:dan", name, "x"), None).await), Forbidden);
}

#[tokio::test]
async fn a_person_sends_as_user_and_reads_the_receipt() {
    let world = shared().await.world().await;
    world.ann.register(&agent("hers")).await.unwrap();
    let sent = world.dan.send(&message("user:dan", "hers", "hi"), None).await.unwrap();
    assert_eq!((sent.from.to_string(), sent.from_owner.as_str()), ("user:dan".into(), "dan"));
    assert!(world.dan.receipt(&sent.id).await.is_ok());
    for (client, from) in [(&world.ci, "user:ci"), (&world.ann, "user:dan")] {
        assert_eq!(code(client.send(&message(from, "hers", "hi"), None).await), Forbidden);
    }
}

#[tokio::test]
async fn a_message_carries_the_principal_that_really_sent_it() {
    let world = shared().await.world().await;
    world.dan.register(&agent("his")).await.unwrap();
    let body =
        json!({"from": "his", "to": "his", "body": "x", "from_owner": "ann", "repo": "other/repo"});
    let sent = world.dan.send(&body, None).await.unwrap();
    assert_eq!((sent.from_owner.as_str(), sent.repo.as_str()), ("dan", world.repo.as_str()));
    let by_service = world.ci.send(&message("his", "his", "note"), None).await.unwrap();
    assert_eq!(by_service.from_owner, "ci");
}

#[tokio::test]
async fn plain_http_is_refused_before_a_token_is_looked_at() {
    let coordinator =
        Coordinator::start(Options { allow_insecure: false, ..Options::default() }).await;
    for client in [coordinator.client(), coordinator.client().with_token("mcu_nonsense")] {
        assert_eq!(code(client.whoami().await), HttpsRequired);
    }
}

#[tokio::test]
async fn without_a_master_key_nothing_is_served_but_an_error_that_says_so() {
    let coordinator = Coordinator::start(Options { master_key: None, ..Options::default() }).await;
    let refused = coordinator.client().whoami().await;
    assert!(refused.as_ref().unwrap_err().to_string().contains("MASTER_KEY"), "{refused:?}");
    assert_eq!(code(refused), Misconfigured);
    let (status, _, _) = raw(http().get(format!("{}/health", coordinator.url()))).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn head_is_get_without_a_body_and_options_lists_the_methods() {
    let world = shared().await.world().await;
    let http = http();
    let url = format!("{}/repos/{}/agents", world.url, world.repo);
    let head = http.head(&url).bearer_auth(&world.tokens[0]).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.text().await.unwrap(), "");
    let options = http.request(Method::OPTIONS, &url).send().await.unwrap();
    assert_eq!(options.status(), 204);
    assert_eq!(options.headers()["allow"], "POST, GET, HEAD, OPTIONS");
    let odd = Method::from_bytes(b"PROPFIND").unwrap();
    let (status, _, _) = raw(http.request(odd, &url).bearer_auth(&world.tokens[0])).await;
    assert_eq!(status, 405);
}
