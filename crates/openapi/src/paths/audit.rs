//! A repo's configuration, and its audit log.

use crate::examples;
use crate::operation::{Operation, get, put};
use crate::parameters::{named, query};
use crate::schemas::Schemas;
use multiclaude_hybrid_protocol::audit::AuditEntry;
use multiclaude_hybrid_protocol::config::{ConfigWish, HybridConfig};
use multiclaude_hybrid_protocol::{AuditId, ErrorCode};
use serde_json::json;

const CONFIG: &str = "/v1/repos/{owner}/{repo}/config";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let config = schemas.of::<HybridConfig>();
    let wish = schemas.request::<ConfigWish>();
    let entry = schemas.of::<AuditEntry>();
    let id = schemas.of::<AuditId>();
    let all = vec![
        get(CONFIG, "getConfig", "The repo's configuration")
            .about("The defaults, if it was never set. `webhook_secret` is for service and admin tokens.")
            .answers(200, "The configuration.", config.clone(), examples::config())
            .header("ETag", "ETag"),
        put(CONFIG, "putConfig", "Replaces the configuration")
            .about("For service and admin tokens. With `If-Match` only if it was not changed since.")
            .unchecked(named("IfMatch"))
            .body(wish, true, &[("hybrid", json!({ "enabled": true, "remote_agents": ["merge-queue"], "max_workers": 4, "max_spawns_per_minute": 20 }))])
            .answers(200, "The configuration as it is now.", config, examples::config())
            .header("ETag", "ETag")
            .fails(&[ErrorCode::PreconditionFailed]),
        get("/v1/repos/{owner}/{repo}/audit", "listAudit", "What was done in the repo")
            .about("For service and admin tokens.")
            .answers(200, "The newest first.", json!({ "type": "array", "items": entry }), json!([examples::audit()]))
            .pages(query("after", "The last entry of the page before.", id)),
    ];
    all.into_iter().map(|operation| operation.tag("Configuration")).collect()
}
