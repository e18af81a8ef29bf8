//! Health, the reference, and `whoami`.

use crate::examples;
use crate::operation::{Access, Operation, get};
use crate::parameters::path;
use crate::schemas::Schemas;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::health::Health;
use multiclaude_hybrid_protocol::token::WhoAmI;
use serde_json::{Value, json};

fn open(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new("get", path, id, summary, Access::Open)
}

fn health(status: &str, d1: &str) -> Value {
    json!({ "status": status, "d1": d1, "version": env!("CARGO_PKG_VERSION"), "time": examples::NOON })
}

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let schema = schemas.of::<Health>();
    let document = json!({ "type": "object", "required": ["openapi"] });
    let files = json!({ "enum": ["page.js", "reference.js"] });
    let text = |kind: &str| Some(json!({ kind: { "schema": { "type": "string" } } }));
    vec![
        open("/v1/health", "health", "Checks whether the database answers")
            .answers(200, "It does.", schema.clone(), health("ok", "ok"))
            .answers(503, "It does not.", schema, health("degraded", "unavailable")),
        open("/v1/openapi.json", "openapi", "This document").answers(
            200,
            "The document.",
            document,
            json!({ "openapi": "3.1.0" }),
        ),
        open("/v1/docs", "docs", "This document, for people").response(
            200,
            "A page.",
            text("text/html"),
        ),
        open("/v1/docs/{file}", "docsFile", "A part of that page")
            .path_parameter(path("file", "Its name.", files, "reference.js"))
            .response(200, "The script.", text("text/javascript"))
            .fails(&[ErrorCode::NotFound]),
        get("/v1/whoami", "whoAmI", "Kind, owner and scope of the token").answers(
            200,
            "The token's properties.",
            schemas.of::<WhoAmI>(),
            examples::whoami(),
        ),
    ]
}
