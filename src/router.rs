//! Every route on one line, in the order of the documentation.

use crate::answer::Handled;
use crate::context::{Context, Parts};
use crate::error::{ApiError, no_such_path};
use crate::extract::Handler as _;
use crate::handlers::{
    agents, audit, callbacks, config, endpoint, leases, messages, reference, registration, stream,
    system, tokens, workers,
};
use multiclaude_hybrid_protocol::ErrorCode;
use std::future::Future;
use std::pin::Pin;
use worker::Method;

/// A handler, its future boxed.
type Handler = fn(Context) -> Pin<Box<dyn Future<Output = Handled>>>;

/// Method, pattern of the canonical path, handler.
pub struct Route {
    pub method: Method,
    /// The pattern; `{repo}` stands for `owner/repo`.
    pub pattern: &'static str,
    pub handler: Handler,
}

macro_rules! routes {
    ($($method:ident $pattern:literal => $handler:path;)*) => {
        pub const ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            pattern: $pattern,
            handler: |context| Box::pin($handler.serve(context)),
        }),*];
    };
}

routes! {
    Get    "/v1/health" => system::health;
    Get    "/v1/openapi.json" => reference::serve;
    Get    "/v1/docs" => reference::serve;
    Get    "/v1/docs/{file}" => reference::serve;
    Get    "/v1/whoami" => system::whoami;
    Post   "/v1/tokens" => tokens::create;
    Get    "/v1/tokens" => tokens::list;
    Delete "/v1/tokens/{id}" => tokens::delete;
    Post   "/v1/repos/{repo}/agents" => registration::register;
    Get    "/v1/repos/{repo}/agents" => agents::list;
    Get    "/v1/repos/{repo}/agents/{name}" => agents::get;
    Patch  "/v1/repos/{repo}/agents/{name}" => agents::update;
    Delete "/v1/repos/{repo}/agents/{name}" => agents::delete;
    Post   "/v1/repos/{repo}/heartbeats" => agents::heartbeats;
    Post   "/v1/repos/{repo}/agents/{name}/endpoint/secret" => endpoint::rotate;
    Post   "/v1/repos/{repo}/agents/{name}/endpoint/test" => endpoint::test;
    Get    "/v1/repos/{repo}/agents/{name}/messages" => messages::list;
    Get    "/v1/repos/{repo}/agents/{name}/stream" => stream::open;
    Post   "/v1/repos/{repo}/messages" => messages::send;
    Get    "/v1/repos/{repo}/messages/{id}" => messages::receipt;
    Patch  "/v1/repos/{repo}/messages/{id}" => messages::report;
    Post   "/v1/repos/{repo}/workers/spawn" => workers::spawn;
    Post   "/v1/repos/{repo}/workers/claim" => leases::claim;
    Get    "/v1/repos/{repo}/workers/pending" => workers::pending;
    Get    "/v1/repos/{repo}/workers" => workers::list;
    Get    "/v1/repos/{repo}/workers/{id}" => workers::get;
    Patch  "/v1/repos/{repo}/workers/{id}" => leases::update;
    Delete "/v1/repos/{repo}/workers/{id}" => workers::cancel;
    Get    "/v1/repos/{repo}/workers/{id}/log" => workers::log;
    Post   "/v1/repos/{repo}/workers/{id}/callback" => callbacks::take;
    Get    "/v1/repos/{repo}/config" => config::get;
    Put    "/v1/repos/{repo}/config" => config::put;
    Get    "/v1/repos/{repo}/audit" => audit::list;
}

/// The parts of the path that `pattern` names; it must match.
fn parts(pattern: &'static str, segments: &[String]) -> Parts {
    let named = pattern.split('/').skip(1).zip(segments).filter_map(|(part, segment)| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some((name, segment.clone()))
    });
    named.collect()
}

/// Does `pattern` match `segments`?
fn matches(pattern: &str, segments: &[String]) -> bool {
    let mut parts = pattern.split('/').skip(1);
    let fits = |segment, part: &str| part.starts_with('{') || part == segment;
    segments.iter().all(|segment| parts.next().is_some_and(|part| fits(segment, part)))
        && parts.next().is_none()
}

/// The routes of a path, of all methods: those with the fewest parameters, so that
/// `…/workers/claim` never matches a worker's id.
fn at(segments: &[String]) -> impl Iterator<Item = &'static Route> {
    let parameters = |route: &Route| route.pattern.matches('{').count();
    let matching = ROUTES.iter().filter(|route| matches(route.pattern, segments));
    let fewest = matching.clone().map(parameters).min();
    matching.filter(move |route| Some(parameters(route)) == fewest)
}

/// The methods that are served at a path.
pub fn allowed(segments: &[String]) -> Vec<String> {
    let methods: Vec<_> = at(segments).map(|route| route.method.to_string()).collect();
    let with_get = methods.iter().any(|method| method == "GET");
    let extra = [("HEAD", with_get), ("OPTIONS", !methods.is_empty())];
    let extra = extra.into_iter().filter(|(_, served)| *served).map(|(name, _)| name.to_owned());
    methods.iter().cloned().chain(extra).collect()
}

/// The route of a request with the parts of its path, or 404, or 405.
pub fn find(method: &str, segments: &[String]) -> Result<(&'static Route, Parts), ApiError> {
    if let Some(route) = at(segments).find(|route| route.method.as_ref() == method) {
        return Ok((route, parts(route.pattern, segments)));
    }
    let allowed = allowed(segments);
    if allowed.is_empty() {
        return Err(no_such_path());
    }
    let allowed = allowed.join(", ");
    let detail = format!("{method} is not served at this path; it takes {allowed}.");
    Err(ApiError::new(ErrorCode::MethodNotAllowed, detail).allow(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    fn found(method: &str, path: &str) -> Result<(&'static str, Parts), ErrorCode> {
        let segments = path::segments(path).unwrap();
        find(method, &segments)
            .map(|(route, parts)| (route.pattern, parts))
            .map_err(|error| error.code)
    }

    #[test]
    fn a_route_is_found_with_the_parts_of_its_path() {
        let (pattern, parts) = found("PATCH", "/v1/repos/a%2Fb/messages/msg_1").unwrap();
        assert_eq!(pattern, "/v1/repos/{repo}/messages/{id}");
        assert_eq!(parts, [("repo", "a/b".to_owned()), ("id", "msg_1".to_owned())]);
    }

    #[test]
    fn an_unknown_path_is_404_and_a_known_one_with_another_method_405() {
        assert_eq!(found("GET", "/v1/nothing").unwrap_err(), ErrorCode::NotFound);
        assert_eq!(found("GET", "/health").unwrap_err(), ErrorCode::NotFound);
        assert_eq!(found("PUT", "/v1/health").unwrap_err(), ErrorCode::MethodNotAllowed);
        assert_eq!(found("GET", "/v1/repos/a/agents").unwrap_err(), ErrorCode::NotFound);
    }

    #[test]
    fn a_word_of_the_path_is_never_taken_for_an_id() {
        for (method, path) in [("PATCH", "claim"), ("DELETE", "spawn"), ("GET", "claim")] {
            let path = format!("/v1/repos/a/b/workers/{path}");
            assert_eq!(found(method, &path).unwrap_err(), ErrorCode::MethodNotAllowed);
        }
        let segments = path::segments("/v1/repos/a/b/workers/claim").unwrap();
        assert_eq!(allowed(&segments), ["POST", "OPTIONS"]);
    }

    #[test]
    fn a_method_that_is_none_of_ours_is_not_taken_for_get() {
        for odd in ["PROPFIND", "get", "TRACE"] {
            assert_eq!(found(odd, "/v1/health").unwrap_err(), ErrorCode::MethodNotAllowed);
        }
        assert_eq!(allowed(&path::segments("/v1/health").unwrap()), ["GET", "HEAD", "OPTIONS"]);
    }

    #[test]
    fn the_docs_list_the_same_routes_in_the_same_order() {
        let docs = include_str!("../docs/api.md");
        let listed = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let listed: Vec<_> =
            listed.map(|(route, _)| route).filter(|route| route.contains(" /v1/")).collect();
        let served: Vec<_> =
            ROUTES.iter().map(|route| format!("{} {}", route.method, route.pattern)).collect();
        assert_eq!(listed, served);
    }

    #[test]
    fn the_openapi_document_describes_each_route_once() {
        let document = multiclaude_hybrid_openapi::document();
        let mut described = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let path = path.replace("{owner}/{repo}", "{repo}");
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert_eq!(described.len(), ROUTES.len());
        let served = ROUTES.iter().map(|route| format!("{} {}", route.method, route.pattern));
        assert_eq!(described, served.collect());
    }

    #[test]
    fn the_docs_list_every_error_code() {
        let docs = include_str!("../docs/api.md");
        for code in ErrorCode::ALL {
            assert!(docs.contains(&format!("`{}`", code.as_str())), "{}", code.as_str());
        }
    }
}
