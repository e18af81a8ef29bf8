//! A repo's configuration.

use crate::examples;
use crate::operation::{Operation, get, put};
use crate::parameters::named;
use crate::schemas::Schemas;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::config::{ConfigWish, HybridConfig};
use serde_json::json;

const CONFIG: &str = "/v1/repos/{owner}/{repo}/config";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let config = schemas.of::<HybridConfig>();
    let update = schemas.request::<ConfigWish>();
    vec![
        get(CONFIG, "getConfig", "The repo's configuration")
            .about("The defaults, if it was never set. Only service and admin tokens see `webhook_secret`.")
            .answers(200, "The configuration.", config.clone(), examples::config())
            .header("ETag", "ETag"),
        put(CONFIG, "putConfig", "Replaces the configuration")
            .about("For service and admin tokens. With `If-Match` it is replaced only if it was not changed since.")
            .unchecked(named("IfMatch"))
            .body(update, true, &[("hybrid", json!({ "enabled": true, "remote_agents": ["merge-queue"], "max_workers": 4, "max_spawns_per_minute": 20 }))])
            .answers(200, "The configuration as it is now.", config, examples::config())
            .header("ETag", "ETag")
            .fails(&[ErrorCode::PreconditionFailed]),
    ]
}
