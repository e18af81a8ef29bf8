//! Every route with every kind of caller.
//!
//! One row a route says what each caller gets. The routes come from the
//! document that the coordinator serves, so a route without a row fails here.
//! Each call asks for something that exists and is dan's: a refusal is for the caller.

mod rows;

use crate::{http, message, raw, with_endpoint};
use e2e::{Sink, World, shared};
use multiclaude_hybrid_protocol::spawn::{Claim, NewSpawn, WorkerUpdate};
use rows::{CALLERS, Row, rows};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Creates what a row asks for, since each call may end it: its id, if it has one.
async fn subject(world: &World, sink: &Sink, pattern: &str) -> String {
    if pattern == "/v1/tokens/{id}" {
        let wish = json!({"kind": "user", "owner": "eve", "repos": ["acme/none"]});
        return world.admin.create_token(&wish).await.unwrap().id.to_string();
    }
    if !pattern.contains("{repo}") {
        return String::new();
    }
    let queue = with_endpoint("queue", &sink.url);
    world.dan.register(&queue).await.unwrap();
    if pattern.contains("/messages/{id}") {
        let sent = world.dan.send(&message("queue", "queue", "hi"), None).await;
        return sent.unwrap().id.to_string();
    }
    if !pattern.contains("/workers/{id}") {
        return String::new();
    }
    let with_log = pattern.ends_with("/log");
    // A runner's claim gets this one, not what other rows have left.
    let task = NewSpawn { priority: i64::from(with_log), ..NewSpawn::new("x") };
    let worker = world.dan.spawn(&task, None).await.unwrap();
    if with_log {
        let held = world.ci.claim(&Claim::default(), None).await.unwrap().unwrap();
        assert_eq!(worker.id, held.id);
        let update = WorkerUpdate::new(&held.lease.unwrap().token).with_log("log", true);
        world.ci.update_worker(&held.id, &update).await.unwrap();
    }
    worker.id.to_string()
}

fn path(pattern: &str, world: &World, id: &str) -> String {
    let path = pattern.replace("{owner}/{repo}", &world.repo);
    path.replace("{name}", "queue").replace("{file}", "reference.js").replace("{id}", id)
}

/// The tokens of [`CALLERS`].
async fn tokens(world: &World) -> Vec<Option<String>> {
    let make = async |kind: &str, owner: &str, scope: &str| {
        let wish = json!({"kind": kind, "owner": owner, "repos": [scope]});
        world.admin.create_token(&wish).await.unwrap()
    };
    let revoked = make("user", "dan", &world.repo).await;
    world.admin.revoke_token(&revoked.id).await.unwrap();
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
    id: &str,
    token: Option<&str>,
    nth: usize,
    sink: &Sink,
) -> (u16, Value) {
    let Row(method, pattern, body, _) = row;
    let url = format!("{}{}", world.url.trim_end_matches("/v1"), path(pattern, world, id));
    let mut request = http().request(method.parse().unwrap(), url);
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
    let config = world.ci.configure(&config).await.unwrap();
    let secret = config["webhook_secret"].as_str().unwrap();
    let tokens = tokens(&world).await;
    let mut wrong = Vec::new();
    for row in rows() {
        for (nth, token) in tokens.iter().enumerate() {
            let id = subject(&world, &sink, &row.1).await;
            let (status, body) = call(&world, &row, &id, token.as_deref(), nth, &sink).await;
            let (wanted, who) = (row.3[nth], CALLERS[nth]);
            let fits = if wanted == 2 { (200..300).contains(&status) } else { status == wanted };
            if !fits {
                wrong.push(format!("{} {} by {who}: {status}, not {wanted}: {body}", row.0, row.1));
            }
            // The repo's secret is for services and admins, whatever is asked.
            let may =
                row.1.ends_with("/config") && ["a service of the repo", "an admin"].contains(&who);
            if !may && body.to_string().contains(secret) {
                wrong.push(format!("{} {} shows the secret to {who}", row.0, row.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_route_has_a_row() {
    let (_, _, document) = raw(http().get(format!("{}/openapi.json", shared().await.url()))).await;
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
