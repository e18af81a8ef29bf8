//! Health, and who am I.

use crate::answer::{Handled, json};
use crate::caller::Caller;
use crate::context::Context;
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::health::Health;
use std::rc::Rc;

/// `GET /v1/health`: does D1 answer? Needs no token.
pub async fn health(context: Context) -> Handled {
    let answers = context.db()?.ping().await;
    let (status, d1) = match &answers {
        Ok(()) => (200, "ok"),
        Err(_) => (503, "unavailable"),
    };
    if let Err(error) = answers {
        crate::log::fault("health", error.cause.as_deref().unwrap_or_default());
    }
    let overall = if status == 200 { "ok" } else { "degraded" };
    let health = Health {
        status: overall.to_owned(),
        d1: d1.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: Some(Timestamp(context.now)),
    };
    json(status, &health)
}

/// `GET /v1/whoami`: kind, owner and scope of the token.
pub async fn whoami(_: Context, caller: Rc<Caller>) -> Handled {
    json(200, &caller.who())
}
