//! Pages of other origins, and the headers that every answer has.

use crate::{http, raw};
use e2e::{Coordinator, Options, shared};
use reqwest::Method;

const OURS: &str = "https://app.example";

#[tokio::test]
async fn without_allowed_origins_no_page_may_read_anything() {
    let url = format!("{}/health", shared().await.url());
    let asked = http().get(&url).header("origin", OURS);
    let (status, headers, _) = raw(asked).await;
    assert_eq!(status, 200);
    assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")));
    let preflight = http()
        .request(Method::OPTIONS, &url)
        .header("origin", OURS)
        .header("access-control-request-method", "GET");
    let (status, headers, _) = raw(preflight).await;
    assert_eq!(status, 204);
    assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")));
}

#[tokio::test]
async fn a_named_origin_may_call_and_read_errors_too_and_another_may_not() {
    let coordinator = Coordinator::start(Options {
        allowed_origins: "https://other.example, https://app.example",
        ..Options::default()
    })
    .await;
    let url = format!("{}/repos/acme/app/messages", coordinator.url());
    let preflight = |origin: &'static str| {
        let asked = http().request(Method::OPTIONS, &url);
        asked
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
    };
    let (status, headers, _) = raw(preflight(OURS)).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (204, &OURS.parse().unwrap()));
    let allowed = headers["access-control-allow-methods"].to_str().unwrap().to_owned();
    assert!(allowed.contains("POST"), "{allowed}");
    let sendable = headers["access-control-allow-headers"].to_str().unwrap().to_owned();
    for name in ["authorization", "idempotency-key", "agent-id", "if-match"] {
        assert!(sendable.contains(name), "{name}");
    }
    assert!(!headers.contains_key("access-control-allow-credentials"));
    let (_, headers, _) = raw(preflight("https://app.example.evil.example")).await;
    assert!(!headers.contains_key("access-control-allow-origin"));

    let refused = http().post(&url).header("origin", OURS);
    let (status, headers, _) = raw(refused).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (401, &OURS.parse().unwrap()));
    assert_eq!(headers["vary"], "origin");
    let readable = headers["access-control-expose-headers"].to_str().unwrap().to_owned();
    assert!(readable.contains("retry-after") && readable.contains("link"), "{readable}");
}

#[tokio::test]
async fn every_answer_is_data_that_no_browser_keeps_runs_or_frames() {
    for path in ["/health", "/nothing", "/repos/a/b/agents"] {
        let url = format!("{}{path}", shared().await.url());
        let (_, headers, _) = raw(http().get(url)).await;
        for (name, wanted) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(headers[name], wanted, "{path}: {name}");
        }
    }
}
