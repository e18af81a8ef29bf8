//! The coordinator: the Coordination API of multiclaude-hybrid as a
//! Cloudflare Worker.
//!
//! A request flows one way:
//!
//! ```text
//! path → router → extract (auth) → handlers → core → store or mailbox → delivery
//! ```
//!
//! The mailbox asks core, too, before each of its own steps. Core, the decisions, is
//! `multiclaude_hybrid_core`; wire types are in `multiclaude_hybrid_protocol`. Neither
//! knows of Workers.
//!
//! | module | what it is |
//! |---|---|
//! | [`path`] | the canonical path |
//! | [`router`] | every route on one line |
//! | [`context`] | one request, and what a handler may use |
//! | [`facts`] | what the log shows of a request |
//! | [`extract`] | the parameters of handlers: read and validated from the request |
//! | [`query`] | the parameters of the query |
//! | [`idempotency`] | the header `Idempotency-Key` |
//! | [`body`] | the body, of limited size |
//! | [`auth`] | bearer token → caller → caller in a repo |
//! | [`caller`] | the types of callers, and their rights |
//! | [`cache`] | callers and holders that an isolate remembers |
//! | [`handlers`] | one file per resource |
//! | [`answer`] | the answers of handlers |
//! | [`optimistic`] | retries a change until no other one has interfered |
//! | [`store`] | D1, one file per table |
//! | [`mailbox`] | the Durable Object, one per agent |
//! | [`endpoint`] | checks an agent's endpoint, and configures its mailbox |
//! | [`delivery`] | one signed POST |
//! | [`vault`] | webhook secrets, sealed at rest |
//! | [`error`] | failures, and the only place that makes a response of one |
//! | [`spawns`] | pushes requests for workers, notifies requesters of ends |
//! | [`cron`] | the work of every minute |
//! | [`cors`] | cross-origin requests, and the headers of every answer |
//! | [`settings`] | the operator's secrets and variables |
//! | [`clock`] | the only place that asks for the time |
//! | [`random`] | the only place that asks for randomness |
//! | [`log`] | one JSON line per request, per push, per fault, and for other work of a mailbox |

pub mod answer;
pub mod auth;
pub mod body;
pub mod cache;
pub mod caller;
pub mod clock;
pub mod context;
pub mod cors;
pub mod cron;
pub mod delivery;
pub mod endpoint;
pub mod error;
pub mod extract;
pub mod facts;
pub mod handlers;
pub mod idempotency;
pub mod log;
pub mod mailbox;
pub mod optimistic;
pub mod path;
pub mod query;
pub mod random;
pub mod router;
pub mod settings;
pub mod spawns;
pub mod store;
pub mod vault;

use context::Context;
use error::ApiError;
use facts::Facts;
use multiclaude_hybrid_protocol::ErrorCode;
use std::rc::Rc;
use worker::{Env, Request, Response, ScheduleContext, ScheduledEvent, event};

/// Runs once per isolate.
#[event(start)]
fn start() {
    console_error_panic_hook::set_once();
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, runtime: worker::Context) -> worker::Result<Response> {
    let started = clock::now();
    let request_id = random::request_id();
    let method = request.inner().method();
    let url = request.inner().url();
    // CORS is off unless an origin is allowed: skip the Origin header. Settings that cannot
    // be read are reported by `serve`.
    let cors_settings = settings::get(&env).ok().filter(|all| !all.allowed_origins.is_empty());
    let origin = match &cors_settings {
        Some(_) => request.headers().get("origin")?,
        None => None,
    };
    let facts = Rc::new(Facts::default());
    let result = serve(request, &url, env, runtime, &facts).await;
    let (error, mut response) = match result {
        Ok(response) => (None, response),
        Err(error) => {
            let logged = (error.code, error.cause.clone());
            (Some(logged), error.into_response(&request_id)?)
        }
    };
    let headers = response.headers_mut();
    headers.set("x-request-id", &request_id)?;
    // The reference pages set their own CSP and cache headers.
    if error.is_some() || !handlers::reference::serves(facts.route.get()) {
        cors::data_only(headers)?;
    }
    cors::secure(headers, &url)?;
    if let Some(settings) = &cors_settings {
        cors::cross(headers, origin.as_deref(), &settings.allowed_origins, method == "OPTIONS")?;
    }
    log::answered(&log::Answered {
        method: &method,
        facts: &facts,
        status: response.status_code(),
        ms: clock::now() - started,
        request_id: &request_id,
        error: error.as_ref().map(|(code, _)| code.as_str()),
        cause: error.as_ref().and_then(|(_, cause)| cause.as_deref()),
    });
    Ok(response)
}

async fn serve(
    request: Request,
    url: &str,
    env: Env,
    runtime: worker::Context,
    facts: &Rc<Facts>,
) -> Result<Response, ApiError> {
    let settings = settings::get(&env)?;
    require_https(url, settings.allow_insecure)?;
    let segments = path::segments(&request.path())
        .map_err(|error| ApiError::parameter(ErrorCode::InvalidPath, "path", error))?;
    // Use the name: `worker::Method` maps unknown methods to GET.
    let method = request.inner().method();
    if method == "OPTIONS" {
        return options(&segments);
    }
    // HEAD is GET; the runtime sends no body with its answer.
    let wanted = if method == "HEAD" { "GET" } else { method.as_str() };
    let (route, parts) = router::find(wanted, &segments)?;
    facts.route.set(route.pattern);
    let context =
        Context::new(request, url.to_owned(), env, runtime, settings, parts, Rc::clone(facts));
    (route.handler)(context).await
}

/// `OPTIONS`: the methods that a path serves; needs no token.
fn options(segments: &[String]) -> Result<Response, ApiError> {
    let allowed = router::allowed(segments);
    if allowed.is_empty() {
        return Err(error::no_such_path());
    }
    let response = Response::empty()?.with_status(204);
    response.headers().set("allow", &allowed.join(", "))?;
    Ok(response)
}

/// Plain `http` is refused before a token is looked at, except on loopback
/// with `ALLOW_INSECURE=true`.
fn require_https(url: &str, allow_insecure: bool) -> Result<(), ApiError> {
    let host = context::host(url);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = name == "localhost" || name == "[::1]" || is_loopback_v4(name);
    if url.starts_with("https://") || (allow_insecure && loopback) {
        return Ok(());
    }
    let hint = if loopback { " On one machine, ALLOW_INSECURE=true opens loopback." } else { "" };
    Err(ApiError::new(
        ErrorCode::HttpsRequired,
        format!(
            "This is served over https only: everybody on the way can read a token that is \
             sent over http. If one was sent just now, replace it.{hint}"
        ),
    ))
}

fn is_loopback_v4(name: &str) -> bool {
    name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// Runs every minute.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    cron::run(&env).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_served_on_loopback_alone_and_only_where_it_is_allowed() {
        assert!(require_https("https://api.example.com/v1/health", false).is_ok());
        for loopback in ["http://127.0.0.1:8787/", "http://localhost:8787/x", "http://[::1]:8787/"]
        {
            assert!(require_https(loopback, true).is_ok(), "{loopback}");
            assert!(require_https(loopback, false).is_err(), "{loopback}");
        }
        for open in
            ["http://api.example.com/", "http://10.0.0.1:80/", "http://127.0.0.1.example.com/"]
        {
            assert!(require_https(open, true).is_err(), "{open}");
        }
    }
}
