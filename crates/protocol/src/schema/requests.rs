//! The bodies of requests: what each type's `from_fields` accepts.

use super::texts::{AGENT_TYPE, LABEL, PUBLIC_URL, SAYS_SOMETHING};
use super::{described, or_empty, or_null};
use crate::agent::{AgentStatus, AgentUpdate, Location, Registration};
use crate::callback::Callback;
use crate::config::{
    ConfigWish, DEFAULT_MAX_WORKERS, DEFAULT_SPAWNS_PER_MINUTE, Encrypt, LIMIT_MAX,
    REMOTE_AGENTS_MAX,
};
use crate::fields::{METADATA_MAX_BYTES, METADATA_MAX_ENTRIES};
use crate::heartbeat::Heartbeat;
use crate::message::{BODY_MAX, NewMessage, Report, THREAD_MAX, TTL_MAX_SECS};
use crate::spawn::{
    Claim, LABELS_MAX, LEASE_DEFAULT_SECS, LEASE_SECS, LOG_MAX, NewSpawn, PRIORITY, PROGRESS_MAX,
    RESULT_MAX, TASK_MAX, WorkerUpdate,
};
use crate::token::NewToken;
use crate::webhook::Secret;
use crate::{AgentId, AgentName, MessageId, Owner, SpawnId};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use std::borrow::Cow;

macro_rules! request {
    ($name:ident, |$generator:ident| $body:expr) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                // An object is a schema always.
                $body.try_into().unwrap_or_default()
            }
        }
    };
}

fn part<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn metadata(description: &str) -> Value {
    let schema = json!({
        "type": "object", "additionalProperties": { "type": "string" },
        "maxProperties": METADATA_MAX_ENTRIES,
    });
    let limit =
        format!("{description} Keys and values have at most {METADATA_MAX_BYTES} bytes together.");
    described(or_null(schema), &limit)
}

fn labels(description: &str) -> Value {
    let label = json!({ "type": "string", "pattern": LABEL });
    let list = json!({ "type": "array", "items": label, "maxItems": LABELS_MAX });
    described(or_null(list), description)
}

fn url(description: &str) -> Value {
    let url =
        json!({ "type": "string", "pattern": PUBLIC_URL, "maxLength": crate::agent::ENDPOINT_MAX });
    let rule = format!(
        "{description} A public `https` URL: no address, no user, no name of a local network, not \
         the coordinator itself. (`ALLOW_INSECURE` opens `http` and loopback on one machine.)"
    );
    described(or_empty(url), &rule)
}

fn secret(generator: &mut SchemaGenerator, description: &str) -> Value {
    described(or_empty(part::<Secret>(generator)), description)
}

fn flag(description: &str) -> Value {
    json!({ "type": ["boolean", "null"], "default": false, "description": description })
}

fn text(description: &str) -> Value {
    json!({ "type": ["string", "null"], "maxLength": RESULT_MAX, "description": description })
}

fn lease_seconds(usual: i64) -> Value {
    json!({
        "type": ["integer", "null"], "minimum": LEASE_SECS.start(), "maximum": LEASE_SECS.end(),
        "default": usual, "description": "Seconds from now.",
    })
}

fn limit(usual: u32, description: &str) -> Value {
    json!({
        "type": ["integer", "null"], "minimum": 0, "maximum": LIMIT_MAX, "default": usual,
        "description": description,
    })
}

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object", "description": description, "required": required,
        "properties": properties,
    })
}

/// The fields that a registration and a change of an agent share.
fn agent_fields(generator: &mut SchemaGenerator) -> Value {
    json!({
        "location": described(or_empty(part::<Location>(generator)), "Where it runs. In a registration, absent: `remote` for a service token, `local` for a user's."),
        "status": described(or_empty(part::<AgentStatus>(generator)), "What it is doing. In a registration, absent: `active`."),
        "endpoint": url("Where its messages are pushed to. An empty text turns push off."),
        "webhook_secret": secret(generator, "The endpoint's secret, which needs an endpoint; generated and answered once if there is none."),
        "metadata": metadata("Replaces all key-value pairs."),
    })
}

fn with(mut properties: Value, more: Value) -> Value {
    if let (Some(map), Value::Object(more)) = (properties.as_object_mut(), more) {
        map.extend(more);
    }
    properties
}

request!(Registration, |generator| {
    let fields = agent_fields(generator);
    let own = json!({
        "name": part::<AgentName>(generator),
        "type": { "type": "string", "pattern": LABEL, "description": "`worker`, `merge-queue`, `supervisor`, …" },
        "instance": described(or_empty(json!({ "type": "string", "pattern": LABEL })), "The machine that registers. Only the same owner and instance renew a registration."),
        "take_over": flag("Replace a holder of the name that is stopped or unseen for 180 s, and has no open stream."),
    });
    object(
        "Registers an agent, or renews it: what is given is replaced.",
        &["name", "type"],
        with(own, fields),
    )
});

request!(AgentUpdate, |generator| {
    let fields = agent_fields(generator);
    let own = json!({
        "type": described(or_empty(json!({ "type": "string", "pattern": LABEL })), "The new type."),
    });
    object(
        "Changes an agent: what is absent stays. An empty object is a heartbeat.",
        &[],
        with(own, fields),
    )
});

request!(Heartbeat, |generator| object(
    "A sign of life.",
    &["name"],
    json!({
        "name": part::<AgentName>(generator),
        "id": described(or_null(part::<AgentId>(generator)), "The incarnation that beats."),
        "status": described(or_empty(part::<AgentStatus>(generator)), "Its status; absent: as it was."),
        "metadata": metadata("Replaces its key-value pairs; absent: as they were."),
    })
));

request!(NewMessage, |generator| {
    let name = part::<AgentName>(generator);
    let user = json!({ "type": "string", "pattern": "^user:(?!system$)[a-z0-9-]{1,39}$" });
    let thread = json!({
        "type": "string", "minLength": 1, "maxLength": THREAD_MAX,
        "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
    });
    object(
        "A message to be stored.",
        &["from", "to", "body"],
        json!({
            "from": described(json!({ "anyOf": [name, user] }), "An agent that the caller may act for, or, with a user token, `user:<owner>`."),
            "to": described(name, "The recipient."),
            "body": { "type": "string", "maxLength": BODY_MAX, "description": format!("The text, at most {BODY_MAX} bytes of UTF-8.") },
            "thread_id": described(or_null(thread), "The conversation it belongs to; no control characters."),
            "reply_to": described(or_null(part::<MessageId>(generator)), "The message it answers."),
            "metadata": metadata("Flexible key-value pairs."),
            "ttl_seconds": {
                "type": ["integer", "null"], "minimum": 1, "maximum": TTL_MAX_SECS, "default": TTL_MAX_SECS,
                "description": "How long it may wait; then it fails and the sending agent is told.",
            },
        }),
    )
});

request!(NewSpawn, |generator| {
    let by = json!({ "anyOf": [
        part::<AgentName>(generator),
        { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}:(?!system$)[a-z0-9-]{1,39}$" },
    ] });
    object(
        "A request for a worker.",
        &["task"],
        json!({
            "task": { "type": "string", "minLength": 1, "maxLength": TASK_MAX, "pattern": SAYS_SOMETHING, "description": format!("What the worker is to do, at most {TASK_MAX} bytes of UTF-8; not only blanks.") },
            "spawned_by": described(or_empty(by), "Who is told of the end: an agent that the caller may act for, `<type>:<owner>` or `user:<owner>`. Absent: the caller."),
            "priority": {
                "type": ["integer", "null"], "minimum": PRIORITY.start(), "maximum": PRIORITY.end(), "default": 0,
                "description": "Higher is more urgent.",
            },
            "retry": flag("May a second runner get it after a worker has started?"),
            "labels": labels("What a runner must have."),
            "metadata": metadata("Flexible key-value pairs, for example `branch`."),
        }),
    )
});

request!(Claim, |_generator| object(
    "What a runner offers.",
    &[],
    json!({
        "labels": labels("What the runner has; it gets requests that ask for no others."),
        "lease_seconds": lease_seconds(LEASE_DEFAULT_SECS),
    })
));

request!(WorkerUpdate, |generator| {
    let line = json!({ "type": "string", "maxLength": PROGRESS_MAX, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$" });
    object(
        "Renews the lease, and says how the worker is doing.",
        &["lease_token"],
        json!({
            "lease_token": { "type": "string", "description": "`lease.token` of the answer to the claim." },
            "lease_seconds": lease_seconds(LEASE_DEFAULT_SECS),
            "worker_name": described(or_empty(part::<AgentName>(generator)), "The registered agent, once the worker has started."),
            "status": { "enum": ["pending", "in_progress", "completed", "failed", null], "description": "`completed` or `failed` end it; `pending` gives it back, which a worker that has started allows with `retry` only." },
            "summary": text("What the worker has to say."),
            "failure_reason": text("Why it failed."),
            "progress": described(or_null(line), "How far the worker is, in one line; an empty text takes the last one away."),
            "log_tail": { "type": ["string", "null"], "maxLength": LOG_MAX, "description": format!("The end of the worker's log, at most {LOG_MAX} bytes of UTF-8. It replaces the one before.") },
            "log_truncated": flag("Was there more before `log_tail`?"),
        }),
    )
});

request!(ConfigWish, |generator| {
    let kind = json!({ "type": "string", "pattern": AGENT_TYPE });
    object(
        "The whole configuration: what is absent gets its default, but for `webhook_secret`, which stays.",
        &[],
        json!({
            "enabled": flag("Is hybrid mode on?"),
            "remote_agents": described(or_null(json!({ "type": "array", "items": kind, "maxItems": REMOTE_AGENTS_MAX })), "Agent types that run remotely."),
            "spawn_endpoint": url("Where spawn requests are pushed to; empty for claiming only."),
            "webhook_secret": secret(generator, "Signs those pushes and their callbacks; generated if there is a `spawn_endpoint` and none yet."),
            "max_spawns_per_minute": limit(DEFAULT_SPAWNS_PER_MINUTE, "Spawn requests that a minute may bring."),
            "max_workers": limit(DEFAULT_MAX_WORKERS, "Workers that may be pending or in progress together."),
            "encrypt": described(or_null(part::<Encrypt>(generator)), "When the bridges encrypt; never, if absent."),
        }),
    )
});

request!(Callback, |generator| {
    let id = part::<SpawnId>(generator);
    let name = part::<AgentName>(generator);
    let same = described(
        or_empty(name.clone()),
        "The worker it is about: where another one was started, it is refused.",
    );
    let kind = |kind: &str, required: &[&str], data: Value| {
        let data =
            object("About the request of the path.", required, with(json!({ "id": id }), data));
        object(
            kind,
            &["type", "data"],
            json!({
                "type": { "const": kind },
                "timestamp": { "type": ["string", "null"], "format": "date-time", "description": "When it happened." },
                "data": data,
            }),
        )
    };
    let hour = *LEASE_SECS.end();
    json!({
        "description": "What an endpoint of spawn requests reports. `data.id` is the id of the path.",
        "oneOf": [
            kind("worker.started", &["id", "worker_name"], json!({ "worker_name": name, "lease_seconds": lease_seconds(hour) })),
            kind("worker.progress", &["id"], json!({ "worker_name": same, "lease_seconds": lease_seconds(hour) })),
            kind("worker.completed", &["id"], json!({ "worker_name": same, "summary": text("What the worker has to say.") })),
            kind("worker.failed", &["id"], json!({ "worker_name": same, "failure_reason": text("Why it failed.") })),
        ],
    })
});

request!(NewToken, |generator| {
    let owner = part::<Owner>(generator);
    let repo = generator.subschema_for::<crate::Repo>().to_value();
    let scope = generator.subschema_for::<crate::token::Scope>().to_value();
    let of = |kind: &str, repos: Value, required: &[&str]| {
        object(
            &format!("A token of kind `{kind}`."),
            required,
            json!({
                "kind": { "const": kind },
                "owner": owner,
                "repos": repos,
                "description": { "type": ["string", "null"], "maxLength": 200, "description": "A note for people." },
                "expires_at": { "type": ["string", "null"], "format": "date-time", "description": "When it ends, in the future; never, or with the service token that makes it, if absent." },
            }),
        )
    };
    let list = |items: Value| json!({ "type": "array", "items": items, "minItems": 1, "maxItems": 100, "description": "What it covers." });
    let none = described(
        or_null(json!({ "type": "array", "maxItems": 0 })),
        "Empty: an admin token is not bound to repos.",
    );
    json!({
        "description": "A token to be made.",
        "oneOf": [
            of("user", list(repo), &["kind", "owner", "repos"]),
            of("service", list(scope), &["kind", "owner", "repos"]),
            of("admin", none, &["kind", "owner"]),
        ],
    })
});

request!(Report, |_generator| {
    // At least one of them; null stands for absent.
    let either = |field: &str, status: Value, seen: Value| json!({ "required": [field], "properties": { "status": status, "seen": seen } });
    json!({
        "type": "object",
        "description": "What the recipient's side reports: a status, `seen`, or both.",
        "properties": {
            "status": { "description": "A status only moves forward; `pending` changes nothing." },
            "seen": { "description": "The agent itself has taken the message, as was proved. It counts as delivered from then on." },
        },
        "anyOf": [
            either("status", json!({ "enum": ["pending", "delivered", "acked"] }), json!({ "enum": [true, null] })),
            either("seen", json!({ "enum": ["pending", "delivered", "acked", null] }), json!({ "const": true })),
        ],
    })
});
