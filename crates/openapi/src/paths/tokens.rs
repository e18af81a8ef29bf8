//! Tokens: made by admins and, for people, by services; managed by admins.

use crate::operation::{Operation, delete, get, post};
use crate::parameters::{path, query};
use crate::schemas::Schemas;
use crate::{examples, links};
use multiclaude_hybrid_protocol::token::{NewToken, Token};
use multiclaude_hybrid_protocol::{ErrorCode, TokenId};
use serde_json::json;

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let token = schemas.of::<Token>();
    let id = schemas.of::<TokenId>();
    let wish = schemas.request::<NewToken>();
    let examples = [
        (
            "a developer's",
            json!({ "kind": "user", "owner": "dan", "repos": ["acme/app"], "description": "Dan's laptop" }),
        ),
        ("a service's", json!({ "kind": "service", "owner": "ci", "repos": ["acme/*"] })),
    ];
    let after = query("after", "The last token of the page before.", json!({ "type": "string" }));
    let all = vec![
        post("/v1/tokens", "createToken", "Makes a token")
            .about(
                "The secret, `token`, is in this answer only. An admin token makes tokens of every \
                 kind. A service token makes only user tokens, for repos that it covers itself. They \
                 end no later than it: without `expires_at` they get its own.",
            )
            .body(wish, true, &examples)
            .answers(201, "The token.", token.clone(), examples::token(true))
            .link("revoke", links::to("revokeToken", &[("id", "$response.body#/id")]))
            .fails(&[ErrorCode::OwnerKindConflict]),
        get("/v1/tokens", "listTokens", "Lists tokens")
            .about("For admin tokens.")
            .lists("Without their secrets.", token, examples::token(false), after),
        delete("/v1/tokens/{id}", "revokeToken", "Revokes a token")
            .about(
                "For admin tokens. Takes effect everywhere within 60 s. Tokens that it has made stay \
                 valid: see `created_by`.",
            )
            .path_parameter(path("id", "The token's id.", id, examples::TOKEN))
            .nothing(204, "It is revoked.")
            .fails(&[ErrorCode::TokenNotFound]),
    ];
    all.into_iter().map(|operation| operation.fails(&[ErrorCode::Forbidden])).collect()
}
