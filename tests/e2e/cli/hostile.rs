//! Coordinators that lie, or are none.

use axum::body::Body;
use axum::http::Response;
use e2e::{Fake, Machine, shared};
use multiclaude_hybrid_protocol::text::is_hidden;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn answer(status: u16, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

/// An admin's `whoami`, with this token id.
fn who(id: &str) -> Value {
    json!({"token_id": id, "kind": "admin", "owner": "admin", "repos": []})
}

/// A well-formed token that does not exist.
fn token() -> String {
    use multiclaude_hybrid_protocol::token::{SecretToken, TokenKind};
    SecretToken::new(TokenKind::Admin, [9; 32]).reveal().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_uses_anothers_token_id_does_not_get_that_token() {
    let evil = Fake::start(|_| answer(200, &who("tok_admin"))).await;
    let real = shared().await;
    let mut machine = Machine::new();
    for (url, token) in
        [(&evil.url, token()), (&real.url(), real.admin.clone()), (&evil.url, token())]
    {
        machine.run_with(&["login", "--url", url], &token).exits(0);
    }
    machine.run(&["whoami", "--all"]).exits(0);
    assert!(evil.tokens().iter().all(|seen| *seen == format!("Bearer {}", token())));
    machine.run(&["logout", "--url", &evil.url]);
    machine.run(&["whoami"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_coordinator_neither_steers_the_terminal_nor_repeats_a_secret() {
    let evil = Fake::start(|path| {
        if path.ends_with("/whoami") {
            return answer(200, &who("tok_admin"));
        }
        let detail = format!("\u{1b}[31m\u{1b}]0;t\u{7}\u{9b}2J\u{202e} {} \u{1}x", token());
        let code = "forbidden";
        answer(
            403,
            &json!({
                "type": "x", "title": "x", "status": 403, "detail": detail, "code": code,
                "message": detail, "request_id": "r",
            }),
        )
    })
    .await;
    let mut machine = Machine::new();
    machine.run_with(&["login", "--url", &evil.url], &token()).exits(0);
    machine.run(&["config", "acme/app", "--hybrid=true"]);
    for args in [
        &["config", "acme/app"][..],
        &["config", "acme/app", "--node=x"],
        &["agents", "--repo", "acme/app"],
        &["tokens"],
        &["list"],
        &["list", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["leave", "acme/app"],
        &["leave", "acme/app", "--force"],
    ] {
        let ran = machine.run(args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains(is_hidden), "{args:?}: {said:?}");
        assert!(!said.contains(&token()), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_answers_and_lists_end() {
    let endless = Fake::start(|path| {
        if path.contains("/agents") {
            let next = "</v1/repos/acme/app/agents?limit=500>; rel=\"next\"";
            return Response::builder().header("link", next).body(Body::from("[]")).unwrap();
        }
        if path.contains("/config") {
            let body =
                futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(vec![b' '; 65_536]));
            return Response::new(Body::from_stream(body));
        }
        answer(200, &who("tok_admin"))
    })
    .await;
    let mut machine = Machine::new();
    machine.run_with(&["login", "--url", &endless.url], &token());
    let list = machine.run(&["agents", "--repo", "acme/app"]);
    assert!(list.code == 8 && list.stderr.contains("without an end"), "{list:?}");
    let since = Instant::now();
    let ran = machine.run(&["config", "acme/app"]).exits(8);
    assert!(ran.stderr.contains("bytes"), "{ran:?}");
    assert!(since.elapsed() < Duration::from_secs(30));
}

/// Answers `first` to the first request and an admin's `whoami` to the others.
async fn at_first(first: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Fake {
    let asked = AtomicU32::new(0);
    Fake::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => first(),
        _ => answer(200, &who("tok_admin")),
    })
    .await
}

/// What a proxy answers while the coordinator is away.
fn page(status: u16, retry_after: Option<&str>) -> Response<Body> {
    let page = Response::builder().status(status);
    let page = match retry_after {
        Some(text) => page.header("retry-after", text),
        None => page,
    };
    page.body(Body::from("<html><h1>nginx</h1></html>")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_an_answer_asks_for_is_obeyed_within_the_timeout() {
    let mut machine = Machine::new();
    for status in [503, 429] {
        let busy = at_first(move || page(status, Some("2"))).await;
        let since = Instant::now();
        let ran = machine.run_with(&["login", "--url", &busy.url], &token());
        assert_eq!((ran.code, busy.tokens().len()), (0, 2), "{status}: {ran:?}");
        assert!(since.elapsed() >= Duration::from_secs(2), "{status}");
    }
    for (status, code) in [(503, 8), (429, 7)] {
        let busy = at_first(move || page(status, Some("3600"))).await;
        let ran = machine.run_with(&["login", "--url", &busy.url], &token());
        assert_eq!((ran.code, busy.tokens().len()), (code, 1), "{status}: {ran:?}");
        assert!(ran.stderr.contains("try again in 3600 s"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_to_what_is_no_coordinator_says_what_it_has_found() {
    let none = who("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p");
    let strange = Fake::start(move |_| answer(200, &none)).await;
    let gateway = Fake::start(|_| page(502, None)).await;
    let plain = Fake::start(|_| answer(200, &who("tok_admin"))).await;
    let with_tls = plain.url.replace("http://", "https://");
    let mut machine = Machine::new();
    for (url, said, unsaid) in [
        (&strange.url, ["is not a coordinator", "no such id"], "a proxy at"),
        (&gateway.url, ["a proxy at", "502"], "not a coordinator"),
        (&with_tls, ["TLS failed", "http://"], "is the coordinator running"),
    ] {
        let ran = machine.run_with(&["login", "--url", url], &token()).exits(8);
        assert!(said.iter().all(|text| ran.stderr.contains(text)), "{ran:?}");
        assert!(!ran.stderr.contains(unsaid), "{ran:?}");
    }
    assert!(!machine.path(".multiclaude/credentials").exists());
}
