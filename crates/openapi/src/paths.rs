//! Every operation, one file per resource, in the order of the documentation.

mod agents;
mod audit;
mod config;
mod messages;
mod system;
mod tokens;
mod workers;

use crate::operation::Operation;
use crate::schemas::Schemas;
use serde_json::{Value, json};

/// Every operation.
pub(crate) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let all = [
        ("System", system::all(schemas)),
        ("Tokens", tokens::all(schemas)),
        ("Agents", agents::all(schemas)),
        ("Messages", messages::all(schemas)),
        ("Workers", workers::all(schemas)),
        ("Configuration", config::all(schemas)),
        ("Configuration", audit::all(schemas)),
    ];
    all.into_iter().flat_map(|(tag, all)| all.into_iter().map(|one| one.tag(tag))).collect()
}

/// The tags.
pub(crate) fn tags() -> Value {
    let tag = |name: &str, description: &str| json!({ "name": name, "description": description });
    json!([
        tag("System", "Health, this document, and the owner of a token."),
        tag("Tokens", "For admins. The secret part of a token is shown once."),
        tag("Agents", "The registry. `id` is an agent's incarnation."),
        tag(
            "Messages",
            "`pending → delivered → acked`, or `failed`, of which the sending agent is notified."
        ),
        tag("Workers", "Requests for workers: asked for, claimed under a lease, ended."),
        tag("Configuration", "The configuration of a repo, and its audit log."),
    ])
}
