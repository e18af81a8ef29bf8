//! Example values for readers. Tests check them against the schemas.

use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "tok_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";
pub(crate) const AGENT: &str = "agt_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";
pub(crate) const SPAWN: &str = "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";
pub(crate) const MESSAGE: &str = "msg_0193a1b2c3d47000800000010a2b3c4d_merge-queue";
/// The key of the published test vector of Standard Webhooks.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) const NOON: &str = "2026-11-22T12:00:00.000Z";

pub(crate) fn whoami() -> Value {
    json!({ "token_id": TOKEN, "kind": "user", "owner": "dan", "repos": ["acme/app"] })
}

/// `base` with more fields.
pub(crate) fn with(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

pub(crate) fn token(fresh: bool) -> Value {
    let token = json!({
        "id": TOKEN, "kind": "user", "owner": "dan", "repos": ["acme/app"], "created_at": NOON,
        "created_by": "tok_admin",
    });
    if fresh { with(token, json!({ "token": "mcu_…" })) } else { token }
}

pub(crate) fn agent() -> Value {
    json!({
        "id": AGENT, "name": "merge-queue", "type": "merge-queue", "location": "remote",
        "owner": "ci", "repo": "acme/app", "status": "active",
        "endpoint": "https://hooks.example.com/merge-queue", "delivery": "webhook",
        "last_seen": NOON, "created_at": NOON, "metadata": { "model": "opus" },
    })
}

pub(crate) fn message() -> Value {
    json!({
        "id": MESSAGE, "from": "workspace", "from_owner": "dan", "to": "merge-queue",
        "repo": "acme/app", "body": "please merge #12", "status": "pending", "created_at": NOON,
        "expires_at": "2026-11-29T12:00:00.000Z", "attempts": 0,
    })
}

pub(crate) fn acked() -> Value {
    with(
        message(),
        json!({
            "status": "acked", "delivered_at": "2026-11-22T12:00:01.000Z",
            "seen_at": "2026-11-22T12:00:07.000Z", "acked_at": "2026-11-22T12:03:00.000Z",
        }),
    )
}

pub(crate) fn spawn() -> Value {
    json!({
        "id": SPAWN, "repo": "acme/app", "task": "Fix the flaky test in ci.yml",
        "spawned_by": "user:dan", "priority": 0, "status": "pending", "retry": false,
        "metadata": {}, "created_at": NOON,
    })
}

pub(crate) fn asked() -> Value {
    with(spawn(), json!({ "runner_seen_at": "2026-11-22T11:59:00.000Z" }))
}

pub(crate) fn log() -> Value {
    json!({ "id": SPAWN, "log": "test nine … ok\n", "updated_at": NOON, "truncated": true })
}

pub(crate) fn claimed() -> Value {
    let ends = "2026-11-22T12:15:00.000Z";
    with(
        spawn(),
        json!({
            "status": "in_progress", "claimed_by": "ci", "lease_expires_at": ends,
            "lease": { "token": "lease_…", "expires_at": ends },
        }),
    )
}

pub(crate) fn config() -> Value {
    json!({
        "repo": "acme/app", "enabled": true, "remote_agents": ["merge-queue"],
        "spawn_endpoint": "", "max_spawns_per_minute": 20, "max_workers": 4,
    })
}

pub(crate) fn audit() -> Value {
    json!({
        "id": "aud_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b", "repo": "acme/app", "at": NOON,
        "actor": { "token_id": TOKEN, "kind": "user", "owner": "dan" },
        "action": "agent.registered", "subject": "merge-queue",
    })
}
