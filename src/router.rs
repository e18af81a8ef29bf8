//! Every route on one line, in the order of the documentation.

use crate::context::Context;
use crate::error::ApiError;
use crate::handlers::{Handled, agents, config, endpoint, messages, system, tokens, workers};
use multiclaude_hybrid_protocol::ErrorCode;
use std::future::Future;
use std::pin::Pin;
use worker::Method;

/// A handler, its future boxed.
type Handler = fn(Context) -> Pin<Box<dyn Future<Output = Handled>>>;

/// Method, pattern of the canonical path, handler.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The pattern; `{repo}` stands for `owner/repo`.
    pub pattern: &'static str,
    /// What serves it.
    pub handler: Handler,
}

macro_rules! routes {
    ($($method:ident $pattern:literal => $handler:path;)*) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            pattern: $pattern,
            handler: |context| Box::pin($handler(context)),
        }),*];
    };
}

routes! {
    Get    "/v1/health" => system::health;
    Get    "/v1/whoami" => system::whoami;
    Post   "/v1/tokens" => tokens::create;
    Get    "/v1/tokens" => tokens::list;
    Delete "/v1/tokens/{id}" => tokens::delete;
    Post   "/v1/repos/{repo}/agents" => agents::register;
    Get    "/v1/repos/{repo}/agents" => agents::list;
    Get    "/v1/repos/{repo}/agents/{name}" => agents::get;
    Patch  "/v1/repos/{repo}/agents/{name}" => agents::update;
    Delete "/v1/repos/{repo}/agents/{name}" => agents::delete;
    Post   "/v1/repos/{repo}/agents/{name}/endpoint/secret" => endpoint::rotate;
    Post   "/v1/repos/{repo}/agents/{name}/endpoint/test" => endpoint::test;
    Get    "/v1/repos/{repo}/agents/{name}/messages" => messages::list;
    Post   "/v1/repos/{repo}/messages" => messages::send;
    Get    "/v1/repos/{repo}/messages/{id}" => messages::receipt;
    Patch  "/v1/repos/{repo}/messages/{id}" => messages::report;
    Post   "/v1/repos/{repo}/workers/spawn" => workers::spawn;
    Post   "/v1/repos/{repo}/workers/claim" => workers::claim;
    Get    "/v1/repos/{repo}/workers/pending" => workers::pending;
    Get    "/v1/repos/{repo}/workers" => workers::list;
    Get    "/v1/repos/{repo}/workers/{id}" => workers::get;
    Patch  "/v1/repos/{repo}/workers/{id}" => workers::update;
    Delete "/v1/repos/{repo}/workers/{id}" => workers::cancel;
    Get    "/v1/repos/{repo}/config" => config::get;
    Put    "/v1/repos/{repo}/config" => config::put;
}

/// The parameters of `segments` under `pattern`, if it fits.
fn fit(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let mut params = Vec::new();
    let mut parts = pattern.split('/').skip(1);
    for segment in segments {
        let part = parts.next()?;
        if part.starts_with('{') {
            params.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    parts.next().is_none().then_some(params)
}

/// The route of a request with its parameters, or 404, or 405.
pub fn find(
    method: &Method,
    segments: &[String],
) -> Result<(&'static Route, Vec<String>), ApiError> {
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(params) = fit(route.pattern, segments) else {
            continue;
        };
        if route.method == *method {
            return Ok((route, params));
        }
        allowed.push(route.method.to_string());
    }
    if allowed.is_empty() {
        return Err(ApiError::new(
            ErrorCode::NotFound,
            "There is nothing at this path. All paths begin with /v1 and are listed in the README.",
        ));
    }
    let allowed = allowed.join(", ");
    let detail = format!("{method} is not served at this path; it takes {allowed}.");
    Err(ApiError::new(ErrorCode::MethodNotAllowed, detail).allow(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    fn found(method: &Method, path: &str) -> Result<(&'static str, Vec<String>), ErrorCode> {
        let segments = path::segments(path).unwrap();
        find(method, &segments)
            .map(|(route, params)| (route.pattern, params))
            .map_err(|error| error.code)
    }

    #[test]
    fn a_route_is_found_with_its_parameters() {
        let (pattern, params) = found(&Method::Patch, "/v1/repos/a%2Fb/messages/msg_1").unwrap();
        assert_eq!(pattern, "/v1/repos/{repo}/messages/{id}");
        assert_eq!(params, ["a/b", "msg_1"]);
    }

    #[test]
    fn an_unknown_path_is_404_and_a_known_one_with_another_method_405() {
        assert_eq!(
            found(&Method::Get, "/v1/nothing").unwrap_err(),
            ErrorCode::NotFound
        );
        assert_eq!(
            found(&Method::Get, "/health").unwrap_err(),
            ErrorCode::NotFound
        );
        assert_eq!(
            found(&Method::Put, "/v1/health").unwrap_err(),
            ErrorCode::MethodNotAllowed
        );
        assert_eq!(
            found(&Method::Get, "/v1/repos/a/agents").unwrap_err(),
            ErrorCode::NotFound
        );
    }

    #[test]
    fn no_two_routes_are_the_same() {
        let mut seen: Vec<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.pattern))
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), ROUTES.len());
    }
}
