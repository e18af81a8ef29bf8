//! A repo's audit log.

use crate::examples;
use crate::operation::{Operation, get};
use crate::parameters::query;
use crate::schemas::Schemas;
use multiclaude_hybrid_protocol::AuditId;
use multiclaude_hybrid_protocol::audit::AuditEntry;
use serde_json::json;

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let entry = schemas.of::<AuditEntry>();
    let id = schemas.of::<AuditId>();
    let list = get("/v1/repos/{owner}/{repo}/audit", "listAudit", "Lists the audit log")
        .about("For service and admin tokens.")
        .answers(
            200,
            "The newest first.",
            json!({ "type": "array", "items": entry }),
            json!([examples::audit()]),
        )
        .pages(query("after", "The last entry of the page before.", id));
    vec![list.tag("Configuration")]
}
