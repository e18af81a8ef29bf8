//! Errors, limits, interfaces.

use crate::{http, raw};
use e2e::shared;
use multiclaude_hybrid_protocol::error::Problem;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn every_error_is_a_problem_document_with_a_code_and_a_request_id() {
    let world = shared().await.world().await;
    let url = format!("{}/repos/{}/agents/nobody", world.url, world.repo);
    let (status, headers, body) = raw(http().get(url).bearer_auth(&world.tokens[0])).await;
    assert_eq!(status, 404);
    assert_eq!(headers["content-type"], "application/problem+json");
    let problem: Problem = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(problem.status, 404);
    assert_eq!(problem.message, problem.detail);
    assert_eq!(headers["x-request-id"], problem.request_id.as_str());
    assert_eq!(body["code"], "agent_not_found");
}

#[tokio::test]
async fn every_answer_has_a_request_id_that_the_log_has_too_but_no_query() {
    let coordinator = shared().await;
    let careless = format!("{}/health?token={}", coordinator.url(), coordinator.admin);
    let (_, headers, _) = raw(http().get(careless)).await;
    let id = headers["x-request-id"].to_str().unwrap().to_owned();
    let line = coordinator.line(&id).await;
    assert_eq!((&line["route"], &line["method"]), (&json!("/v1/health"), &json!("GET")));
    assert!(line["ms"].is_number() && line["status"] == 200);
    assert!(!coordinator.log().contains(&coordinator.admin), "a token is in the log");
}

#[tokio::test]
async fn malformed_bodies_get_400_with_the_reason() {
    let world = shared().await.world().await;
    let url = format!("{}/repos/{}/agents", world.url, world.repo);
    let post =
        async |body: Vec<u8>| raw(http().post(&url).bearer_auth(&world.tokens[0]).body(body)).await;
    for (body, hint) in [
        (b"".to_vec(), "not JSON"),
        (b"{\"name\":\"\xff\"}".to_vec(), "UTF-8"),
        (b"\"x\"".to_vec(), "a string"),
        ([vec![b'['; 5000], vec![b']'; 5000]].concat(), "not JSON"),
    ] {
        let (status, _, answer) = post(body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_json")), "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(hint), "{answer}");
    }
}

#[tokio::test]
async fn a_malformed_path_gets_400_an_unknown_one_404_a_wrong_method_405() {
    let world = shared().await.world().await;
    let ask = async |method: Method, path: &str| {
        let url = format!("{}{path}", world.url);
        let (status, headers, body) =
            raw(http().request(method, url).bearer_auth(&world.tokens[0])).await;
        (status, headers, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let repo = &world.repo;
    for (path, status, code) in [
        (format!("/repos/{repo}/agents/a%2Fb"), 400, "invalid_path"),
        (format!("/repos/{repo}/agents/a.b"), 400, "invalid_name"),
        (format!("/repos/{repo}/agents/system"), 400, "invalid_name"),
        ("/repos/-x/y/agents".to_owned(), 400, "invalid_name"),
        ("/repos/a/b%20c/agents".to_owned(), 400, "invalid_name"),
        (format!("/repos/{repo}/messages/msg_1"), 400, "invalid_name"),
        ("/nothing".to_owned(), 404, "not_found"),
    ] {
        let found = ask(Method::GET, &path).await;
        assert_eq!((found.0, found.2.as_str()), (status, code), "{path}");
    }
    let (status, headers, code) = ask(Method::PUT, &format!("/repos/{repo}/agents/w")).await;
    assert_eq!((status, code.as_str()), (405, "method_not_allowed"));
    assert_eq!(headers["allow"], "GET, PATCH, DELETE, HEAD, OPTIONS");
}

#[tokio::test]
async fn an_empty_agent_id_is_absent_and_a_malformed_one_is_refused_everywhere() {
    let world = shared().await.world().await;
    let url = format!("{}/repos/{}/workers/spawn", world.url, world.repo);
    for (id, status) in [("", 201), ("{}", 400)] {
        let (found, ..) = raw(http()
            .post(&url)
            .bearer_auth(&world.tokens[0])
            .header("agent-id", id)
            .body(r#"{"task": "x", "priority": 1.0}"#))
        .await;
        assert_eq!(found, status, "{id:?}");
    }
}

#[tokio::test]
async fn the_document_and_its_page_need_no_token_and_the_page_asks_no_other_host() {
    let base = shared().await.url();
    let (status, headers, document) = raw(http().get(format!("{base}/openapi.json"))).await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")), "{headers:?}");
    assert_eq!(headers["cache-control"], "public, max-age=300");
    let page = reqwest::get(format!("{base}/docs")).await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"));
    let html = page.text().await.unwrap();
    let scripts = html.split("src=\"").skip(1).map(|script| script.split_once('"').unwrap().0);
    let scripts: Vec<_> = scripts.collect();
    assert_eq!(scripts, ["/v1/docs/reference.js", "/v1/docs/page.js"]);
    for path in scripts {
        let file = path.strip_prefix("/v1").unwrap();
        let answer = reqwest::get(format!("{base}{file}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let other = reqwest::get(format!("{base}/docs/index.html")).await.unwrap();
    assert_eq!(other.status(), 404);
}
