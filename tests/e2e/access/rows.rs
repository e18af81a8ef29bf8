//! What each caller gets from each route.

use serde_json::{Value, json};

/// Who calls, in the order of a row's answers.
pub(super) const CALLERS: [&str; 9] = [
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
pub(super) struct Row(
    pub(super) &'static str,
    pub(super) String,
    pub(super) Option<Value>,
    pub(super) [u16; 9],
);

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

pub(super) fn rows() -> Vec<Row> {
    let v1 = |path: &str| format!("/v1{path}");
    let repo = |suffix: &str| v1(&format!("/repos/{{owner}}/{{repo}}{suffix}"));
    let at = |suffix: &str| repo(&format!("/agents/{{name}}{suffix}"));
    let token = |kind: &str| Some(json!({"kind": kind, "owner": kind, "repos": ["REPO"]}));
    let fresh = || Some(json!({"name": "FRESH", "type": "worker"}));
    vec![
        Row("GET", v1("/health"), None, OPEN),
        Row("GET", v1("/openapi.json"), None, OPEN),
        Row("GET", v1("/docs"), None, OPEN),
        Row("GET", v1("/docs/{file}"), None, OPEN),
        Row("GET", v1("/whoami"), None, ANY_TOKEN),
        Row("POST", v1("/tokens"), token("user"), TEAM),
        Row("POST", v1("/tokens"), token("service"), ADMIN),
        Row("GET", v1("/tokens"), None, ADMIN),
        Row("DELETE", v1("/tokens/{id}"), None, ADMIN),
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
        // 426: the caller may open it, as tests of streams do.
        Row("GET", at("/stream"), None, [401, 401, 401, 403, 403, 426, 426, 426, 426]),
        Row(
            "POST",
            repo("/messages"),
            Some(json!({"from": "queue", "to": "queue", "body": "x"})),
            MAIL,
        ),
        Row("GET", repo("/messages/{id}"), None, MAIL),
        Row("PATCH", repo("/messages/{id}"), Some(json!({"status": "delivered"})), MAIL),
        Row("POST", repo("/workers/spawn"), Some(json!({"task": "x"})), PART),
        Row(
            "POST",
            repo("/workers/spawn"),
            Some(json!({"task": "x", "spawned_by": "queue"})),
            MAIL,
        ),
        Row("POST", repo("/workers/claim"), Some(json!({"labels": []})), PART),
        Row("GET", repo("/workers/pending"), None, REPO),
        Row("GET", repo("/workers"), None, REPO),
        Row("GET", repo("/workers/{id}"), None, REPO),
        Row("GET", repo("/workers/{id}/log"), None, OWN),
        // Only the holder of the lease may: 409 for all others.
        Row(
            "PATCH",
            repo("/workers/{id}"),
            Some(json!({"lease_token": "lease_guess"})),
            [401, 401, 401, 403, 403, 409, 409, 409, 403],
        ),
        Row("DELETE", repo("/workers/{id}"), None, OWN),
        Row("POST", repo("/workers/{id}/callback"), Some(json!({"type": "worker.failed"})), SIGNED),
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
