//! A repo's audit log.

use crate::examples;
use crate::operation::{Operation, get};
use crate::parameters::query;
use crate::schemas::Schemas;
use multiclaude_hybrid_protocol::AuditId;
use multiclaude_hybrid_protocol::audit::AuditEntry;

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let entry = schemas.of::<AuditEntry>();
    let id = schemas.of::<AuditId>();
    let after = query("after", "The last entry of the page before.", id);
    vec![
        get("/v1/repos/{owner}/{repo}/audit", "listAudit", "Lists the audit log")
            .about("For service and admin tokens.")
            .lists("The newest first.", entry, examples::audit(), after),
    ]
}
