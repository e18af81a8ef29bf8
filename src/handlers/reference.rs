//! The OpenAPI document, and a page that renders it: static assets, made by
//! the build. Neither needs a token.

use crate::answer::Handled;
use crate::context::Context;
use crate::error::{ApiError, no_such_path};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Headers, Response, js_sys, web_sys};

/// The page loads from this host only. Its renderer sets styles inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Is this one of the routes served here?
pub fn serves(route: &str) -> bool {
    route.starts_with("/v1/docs") || route == "/v1/openapi.json"
}

/// The path and the type of the asset that a URL asks for.
fn asset(url: &str) -> Option<(&'static str, &'static str)> {
    let path = url.split(['?', '#']).next()?;
    match path.splitn(4, '/').nth(3)? {
        "v1/openapi.json" => Some(("openapi.json", "application/json")),
        "v1/docs" => Some(("docs/index.html", "text/html; charset=utf-8")),
        "v1/docs/page.js" => Some(("docs/page.js", "text/javascript; charset=utf-8")),
        "v1/docs/reference.js" => Some(("docs/reference.js", "text/javascript; charset=utf-8")),
        _ => None,
    }
}

/// `GET /v1/openapi.json`, `GET /v1/docs` and `GET /v1/docs/{file}`.
///
/// One function for the three: each would be a state machine of its own, half
/// a kilobyte of wasm.
pub async fn serve(context: Context) -> Handled {
    let (path, kind) = asset(&context.url).ok_or_else(no_such_path)?;
    let found = fetch(&context.env, path).await?;
    if found.status_code() != 200 {
        return Err(ApiError::internal(path));
    }
    let headers = Headers::new();
    headers.set("content-type", kind)?;
    headers.set("content-security-policy", POLICY)?;
    headers.set("cache-control", "public, max-age=300")?;
    let (_, body) = found.into_parts();
    Ok(Response::from_body(body)?.with_headers(headers))
}

/// The bare `fetch` of the binding: the crate's own costs 2 KB of wasm.
async fn fetch(env: &JsValue, path: &str) -> worker::Result<Response> {
    let assets = js_sys::Reflect::get(env, &"ASSETS".into())?;
    let fetch: js_sys::Function = js_sys::Reflect::get(&assets, &"fetch".into())?.dyn_into()?;
    // Only the path matters.
    let url = JsValue::from_str(&format!("https://assets/{path}"));
    let promise: js_sys::Promise = fetch.call1(&assets, &url)?.dyn_into()?;
    let found: web_sys::Response = js_sys::futures::JsFuture::from(promise).await?.dyn_into()?;
    Ok(Response::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_which_asset_is_asked_for() {
        let of = |url| asset(url).map(|(path, _)| path);
        assert_eq!(of("https://x/v1/openapi.json"), Some("openapi.json"));
        assert_eq!(of("https://x/v1/docs?a=/b#c"), Some("docs/index.html"));
        assert_eq!(of("https://x/v1/docs/page.js"), Some("docs/page.js"));
        assert_eq!(of("https://x/v1/docs/index.html"), None);
        assert_eq!(of("https://x/v1/docs/openapi.json"), None);
    }
}
