//! Every route with every kind of caller.
//!
//! One row a route says what each caller gets. The routes come from the
//! document that the coordinator serves, so a route without a row fails here.
//! What is asked for exists, and belongs to dan: a refusal is for the caller.

use crate::{agent, message, raw};
use e2e::{Sink, World, shared};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Who calls, in the order of a row's answers.
const CALLERS: [&str; 9] = [
    "no token",
    "a malformed token",
    "a revoked token",
    "a user of another repo",
    "a service of another account",
    "another user of the repo",
    "the owner",
    "a service of the repo",
    "an admin",
];

/// A route, a body, and the status for each caller. 2 stands for any 2xx.
struct Row(&'static str, &'static str, Option<Value>, [u16; 9]);

const OPEN: [u16; 9] = [2; 9];
/// Everybody whose token covers the repo.
const REPO: [u16; 9] = [401, 401, 401, 403, 403, 2, 2, 2, 2];
/// The same but for admins, who take no part.
const PART: [u16; 9] = [401, 401, 401, 403, 403, 2, 2, 2, 403];
/// The owner of the thing, the repo's services, and admins.
const OWN: [u16; 9] = [401, 401, 401, 403, 403, 403, 2, 2, 2];
/// The owner and the repo's services: where mail is read or led.
const MAIL: [u16; 9] = [401, 401, 401, 403, 403, 403, 2, 2, 403];
/// Services and admins.
const TEAM: [u16; 9] = [401, 401, 401, 403, 403, 403, 403, 2, 2];
const ADMIN: [u16; 9] = [401, 401, 401, 403, 403, 403, 403, 403, 2];
const ANY_TOKEN: [u16; 9] = [401, 401, 401, 2, 2, 2, 2, 2, 2];
/// No token counts, only a signature.
const SIGNED: [u16; 9] = [401; 9];

fn rows() -> Vec<Row> {
    let queue = "/v1/repos/{owner}/{repo}/agents/{name}";
    let at =
        |suffix: &str| -> &'static str { Box::leak(format!("{queue}{suffix}").into_boxed_str()) };
    let repo = |suffix: &str| -> &'static str {
        Box::leak(format!("/v1/repos/{{owner}}/{{repo}}{suffix}").into_boxed_str())
    };
    let fresh = || Some(json!({"name": "FRESH", "type": "worker"}));
    vec![
        Row("GET", "/v1/health", None, OPEN),
        Row("GET", "/v1/openapi.json", None, OPEN),
        Row("GET", "/v1/docs", None, OPEN),
        Row("GET", "/v1/docs/{file}", None, OPEN),
        Row("GET", "/v1/whoami", None, ANY_TOKEN),
        Row(
            "POST",
            "/v1/tokens",
            Some(json!({"kind": "user", "owner": "eve", "repos": ["acme/none"]})),
            ADMIN,
        ),
        Row("GET", "/v1/tokens", None, ADMIN),
        Row("DELETE", "/v1/tokens/{id}", None, ADMIN),
        Row("POST", repo("/agents"), fresh(), PART),
        Row("GET", repo("/agents"), None, REPO),
        Row("GET", at(""), None, REPO),
        Row("PATCH", at(""), Some(json!({"status": "idle"})), OWN),
        // Setting an endpoint is as good as reading the mail.
        Row("PATCH", at(""), Some(json!({"endpoint": "SINK"})), MAIL),
        Row("DELETE", at(""), None, OWN),
        Row("POST", repo("/heartbeats"), Some(json!([])), PART),
        Row("POST", at("/endpoint/secret"), None, MAIL),
        Row("POST", at("/endpoint/test"), None, OWN),
        Row("GET", at("/messages"), None, MAIL),
        // 426: whoever gets as far as that may open it (streams.rs does).
        Row(
            "GET",
            at("/stream"),
            None,
            [401, 401, 401, 403, 403, 426, 426, 426, 426],
        ),
        Row(
            "POST",
            repo("/messages"),
            Some(json!({"from": "queue", "to": "queue", "body": "x"})),
            MAIL,
        ),
        Row("GET", repo("/messages/{id}"), None, MAIL),
        Row(
            "PATCH",
            repo("/messages/{id}"),
            Some(json!({"status": "delivered"})),
            MAIL,
        ),
        Row(
            "POST",
            repo("/workers/spawn"),
            Some(json!({"task": "x"})),
            PART,
        ),
        Row(
            "POST",
            repo("/workers/spawn"),
            Some(json!({"task": "x", "spawned_by": "queue"})),
            MAIL,
        ),
        Row(
            "POST",
            repo("/workers/claim"),
            Some(json!({"labels": []})),
            PART,
        ),
        Row("GET", repo("/workers/pending"), None, REPO),
        Row("GET", repo("/workers"), None, REPO),
        Row("GET", repo("/workers/{id}"), None, REPO),
        // Only who holds the lease, whoever that is: 409 for all others.
        Row(
            "PATCH",
            repo("/workers/{id}"),
            Some(json!({"lease_token": "lease_guess"})),
            [401, 401, 401, 403, 403, 409, 409, 409, 403],
        ),
        Row("DELETE", repo("/workers/{id}"), None, OWN),
        Row(
            "POST",
            repo("/workers/{id}/callback"),
            Some(json!({"type": "worker.failed"})),
            SIGNED,
        ),
        Row("GET", repo("/config"), None, REPO),
        Row(
            "PUT",
            repo("/config"),
            Some(
                json!({"spawn_endpoint": "SINK", "max_workers": 1000, "max_spawns_per_minute": 1000}),
            ),
            TEAM,
        ),
        Row("GET", repo("/audit"), None, TEAM),
    ]
}

/// What every row asks for: made anew for each call, because a call may end it.
struct Things {
    message: String,
    worker: String,
    token: String,
}

async fn things(world: &World, sink: &Sink, pattern: &str) -> Things {
    let queue = json!({"name": "queue", "type": "worker", "endpoint": sink.url});
    world.dan.register(&queue).await.unwrap();
    let sent = world
        .dan
        .send(&message("queue", "queue", "hi"), None)
        .await
        .unwrap();
    let task = json!({"task": "x"});
    let worker: Value = world
        .dan
        .call(Method::POST, "/workers/spawn", &[], Some(&task))
        .await
        .unwrap()
        .json()
        .unwrap();
    let token = if pattern == "/v1/tokens/{id}" {
        let wish = json!({"kind": "user", "owner": "eve", "repos": ["acme/none"]});
        world
            .admin
            .create_token(&wish)
            .await
            .unwrap()
            .id
            .to_string()
    } else {
        String::new()
    };
    Things {
        message: sent.id.to_string(),
        worker: worker["id"].as_str().unwrap().to_owned(),
        token,
    }
}

fn path(pattern: &str, world: &World, things: &Things) -> String {
    let (owner, repo) = world.repo.split_once('/').unwrap();
    let id = match pattern {
        _ if pattern.contains("/messages/{id}") => &things.message,
        _ if pattern.contains("/workers/{id}") => &things.worker,
        _ => &things.token,
    };
    let path = pattern.replace("{owner}/{repo}", &format!("{owner}/{repo}"));
    path.replace("{name}", "queue")
        .replace("{file}", "reference.js")
        .replace("{id}", id)
}

/// The tokens of [`CALLERS`].
async fn tokens(world: &World) -> Vec<Option<String>> {
    let make = async |kind: &str, owner: &str, scope: &str| {
        let wish = json!({"kind": kind, "owner": owner, "repos": [scope]});
        world.admin.create_token(&wish).await.unwrap()
    };
    let revoked = make("user", "dan", &world.repo).await;
    world.admin.revoke_token(revoked.id.as_str()).await.unwrap();
    let [dan, ann, ci] = world.tokens.clone();
    vec![
        None,
        Some("mcu_short".to_owned()),
        revoked.token,
        make("user", "dan", "acme/other").await.token,
        make("service", "ci", "other/*").await.token,
        Some(ann),
        Some(dan),
        Some(ci),
        Some(shared().await.admin.clone()),
    ]
}

async fn call(
    world: &World,
    row: &Row,
    things: &Things,
    token: Option<&str>,
    nth: usize,
    sink: &Sink,
) -> (u16, Value) {
    let Row(method, pattern, body, _) = row;
    let url = format!(
        "{}{}",
        world.url.trim_end_matches("/v1"),
        path(pattern, world, things)
    );
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        let body = body.to_string().replace("SINK", &sink.url);
        request = request.body(body.replace("FRESH", &format!("fresh{nth}")));
    }
    let (status, _, body) = raw(request).await;
    (status, body)
}

#[tokio::test]
async fn every_route_answers_every_kind_of_caller_as_its_row_says() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let config =
        json!({"spawn_endpoint": sink.url, "max_workers": 1000, "max_spawns_per_minute": 1000});
    let config = world
        .ci
        .call(Method::PUT, "/config", &[], Some(&config))
        .await
        .unwrap();
    let secret = config.json::<Value>().unwrap()["webhook_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let tokens = tokens(&world).await;
    let mut wrong = Vec::new();
    for row in rows() {
        for (nth, token) in tokens.iter().enumerate() {
            let things = things(&world, &sink, row.1).await;
            let (status, body) = call(&world, &row, &things, token.as_deref(), nth, &sink).await;
            let (wanted, who) = (row.3[nth], CALLERS[nth]);
            let fits = if wanted == 2 {
                (200..300).contains(&status)
            } else {
                status == wanted
            };
            if !fits {
                wrong.push(format!(
                    "{} {} by {who}: {status}, not {wanted}: {body}",
                    row.0, row.1
                ));
            }
            // The repo's secret is for services and admins, whatever is asked.
            let may =
                row.1.ends_with("/config") && ["a service of the repo", "an admin"].contains(&who);
            if !may && body.to_string().contains(&secret) {
                wrong.push(format!("{} {} shows the secret to {who}", row.0, row.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_route_has_a_row() {
    let (_, _, document) =
        raw(reqwest::Client::new().get(format!("{}/openapi.json", shared().await.url()))).await;
    let mut served = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                served.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let tested: BTreeSet<_> = rows()
        .iter()
        .map(|row| format!("{} {}", row.0, row.1))
        .collect();
    assert_eq!(served, tested);
}

/// A client that escapes the repo as one segment reaches the same.
#[tokio::test]
async fn every_route_takes_the_repo_as_one_escaped_segment() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let config =
        json!({"spawn_endpoint": sink.url, "max_workers": 1000, "max_spawns_per_minute": 1000});
    world
        .ci
        .call(Method::PUT, "/config", &[], Some(&config))
        .await
        .unwrap();
    for row in rows().into_iter().filter(|row| row.1.contains("{repo}")) {
        let mut answers = Vec::new();
        for separator in ["/", "%2F", "%2f"] {
            let things = things(&world, &sink, row.1).await;
            let pattern = row
                .1
                .replace("{owner}/{repo}", &world.repo.replace('/', separator));
            let row = Row(
                row.0,
                Box::leak(pattern.into_boxed_str()),
                row.2.clone(),
                row.3,
            );
            let nth = answers.len() + 100;
            answers.push(
                call(&world, &row, &things, Some(&world.tokens[2]), nth, &sink)
                    .await
                    .0,
            );
        }
        assert!(
            answers.iter().all(|status| *status == answers[0]),
            "{} {}: {answers:?}",
            row.0,
            row.1
        );
        assert_ne!(answers[0], 404, "{} {}", row.0, row.1);
    }
    world.dan.register(&agent("last")).await.unwrap();
}
