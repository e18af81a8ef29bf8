//! Health, and who am I.

use crate::answer::{Handled, json};
use crate::caller::Caller;
use crate::context::Context;
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::health::Health;
use multiclaude_hybrid_protocol::token::WhoAmI;
use std::rc::Rc;

/// `GET /v1/health`: does D1 answer? Needs no token.
pub async fn health(context: Context) -> Handled {
    let (code, status, d1) = match context.db()?.ping().await {
        Ok(()) => (200, "ok", "ok"),
        Err(error) => {
            crate::log::fault("health", &error.to_string());
            (503, "degraded", "unavailable")
        }
    };
    let health = Health {
        status: status.to_owned(),
        d1: d1.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: Some(Timestamp(context.now)),
    };
    json(code, &health)
}

/// `GET /v1/whoami`: kind, owner and scope of the token.
pub async fn whoami(_: Context, caller: Rc<Caller>) -> Handled {
    let who = WhoAmI {
        token_id: caller.token_id.clone(),
        kind: caller.principal.kind,
        owner: caller.principal.owner.clone(),
        repos: caller.scopes.clone(),
        expires_at: caller.expires_at.map(Timestamp),
    };
    json(200, &who)
}
