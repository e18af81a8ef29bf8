//! Every route with every kind of caller.
//!
//! One row a route says what each caller gets. The routes come from the
//! document that the coordinator serves, so a route without a row fails here.
//! What is asked for exists, and belongs to dan: a refusal is for the caller.

mod rows;

use crate::{agent, message, raw};
use e2e::{Sink, World, shared};
use multiclaude_hybrid_protocol::spawn::{Claim, WorkerUpdate};
use reqwest::Method;
use rows::{CALLERS, Row, rows};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What every row asks for: made anew for each call, because a call may end it.
struct Things {
    message: String,
    worker: String,
    token: String,
}

async fn things(world: &World, sink: &Sink, pattern: &str) -> Things {
    let queue = json!({"name": "queue", "type": "worker", "endpoint": sink.url});
    world.dan.register(&queue).await.unwrap();
    let sent = world.dan.send(&message("queue", "queue", "hi"), None).await.unwrap();
    let with_log = pattern.ends_with("/log");
    // A runner's claim gets this one, not what other rows have left.
    let task = json!({"task": "x", "priority": i32::from(with_log)});
    let worker: Value = world
        .dan
        .call(Method::POST, "/workers/spawn", &[], Some(&task))
        .await
        .unwrap()
        .json()
        .unwrap();
    if with_log {
        let runner = world.ci.typed();
        let held = runner.claim(&Claim::default(), None).await.unwrap().unwrap();
        assert_eq!(worker["id"], held.id.as_str());
        let update = WorkerUpdate::new(&held.lease.unwrap().token).with_log("log", true);
        runner.update_worker(&held.id, &update).await.unwrap();
    }
    let token = if pattern == "/v1/tokens/{id}" {
        let wish = json!({"kind": "user", "owner": "eve", "repos": ["acme/none"]});
        world.admin.create_token(&wish).await.unwrap().id.to_string()
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
    path.replace("{name}", "queue").replace("{file}", "reference.js").replace("{id}", id)
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
    let url = format!("{}{}", world.url.trim_end_matches("/v1"), path(pattern, world, things));
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        let body = body.to_string().replace("SINK", &sink.url);
        let body = body.replace("REPO", &world.repo);
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
    let config = world.ci.call(Method::PUT, "/config", &[], Some(&config)).await.unwrap();
    let secret = config.json::<Value>().unwrap()["webhook_secret"].as_str().unwrap().to_owned();
    let tokens = tokens(&world).await;
    let mut wrong = Vec::new();
    for row in rows() {
        for (nth, token) in tokens.iter().enumerate() {
            let things = things(&world, &sink, row.1).await;
            let (status, body) = call(&world, &row, &things, token.as_deref(), nth, &sink).await;
            let (wanted, who) = (row.3[nth], CALLERS[nth]);
            let fits = if wanted == 2 { (200..300).contains(&status) } else { status == wanted };
            if !fits {
                wrong.push(format!("{} {} by {who}: {status}, not {wanted}: {body}", row.0, row.1));
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
    let tested: BTreeSet<_> = rows().iter().map(|row| format!("{} {}", row.0, row.1)).collect();
    assert_eq!(served, tested);
}

/// A client that escapes the repo as one segment reaches the same.
#[tokio::test]
async fn every_route_takes_the_repo_as_one_escaped_segment() {
    let world = shared().await.world().await;
    let sink = Sink::start(vec![]).await;
    let config =
        json!({"spawn_endpoint": sink.url, "max_workers": 1000, "max_spawns_per_minute": 1000});
    world.ci.call(Method::PUT, "/config", &[], Some(&config)).await.unwrap();
    for row in rows().into_iter().filter(|row| row.1.contains("{repo}")) {
        let mut answers = Vec::new();
        for separator in ["/", "%2F", "%2f"] {
            let things = things(&world, &sink, row.1).await;
            let pattern = row.1.replace("{owner}/{repo}", &world.repo.replace('/', separator));
            let row = Row(row.0, Box::leak(pattern.into_boxed_str()), row.2.clone(), row.3);
            let nth = answers.len() + 100;
            answers.push(call(&world, &row, &things, Some(&world.tokens[2]), nth, &sink).await.0);
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
