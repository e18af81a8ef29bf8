//! Every operation, one file per resource, in the order of the documentation.

mod agents;
mod audit;
mod messages;
mod system;
mod tokens;
mod workers;

use crate::operation::Operation;
use crate::schemas::Schemas;
use serde_json::{Value, json};

/// Every operation.
pub(crate) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    [
        system::all(schemas),
        tokens::all(schemas),
        agents::all(schemas),
        messages::all(schemas),
        workers::all(schemas),
        audit::all(schemas),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The chapters.
pub(crate) fn tags() -> Value {
    let tag = |name: &str, description: &str| json!({ "name": name, "description": description });
    json!([
        tag("System", "Health, this document, and whom a token stands for."),
        tag("Tokens", "For admins. The secret part of a token is shown once."),
        tag("Agents", "The registry. `id` is an agent's incarnation."),
        tag(
            "Messages",
            "`pending → delivered → acked`, or `failed`, of which the sending agent is notified."
        ),
        tag("Workers", "Requests for workers: asked for, claimed under a lease, ended."),
        tag("Configuration", "Of one repo, and what was done in it."),
    ])
}
