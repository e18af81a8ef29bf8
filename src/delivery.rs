//! One signed POST to an endpoint: with a timeout, without following redirects. The
//! status is the answer. A 2xx JSON body may also report acked or seen; at most 4 KiB of
//! it are read, for a short time.

use crate::clock;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::outcome::{ErrorClass, Outcome};
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::message::Report;
use multiclaude_hybrid_protocol::webhook::{self, Secret};
use multiclaude_hybrid_protocol::{Timestamp, retry_after};
use serde_json::Value;
use std::time::Duration;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{AbortSignal, Delay, Headers, Response, js_sys, web_sys};

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 4096;
/// How long to read a body that is not used. A connection can be reused only once its
/// answer was read: without this each push would open another one.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);

pub struct Post {
    pub url: String,
    pub id: String,
    pub body: String,
    /// The secrets that sign, the newest first.
    pub secrets: Vec<Secret>,
}

/// Posts. Returns the outcome, and how many ms it took.
pub async fn post(post: &Post, timing: &Timing) -> (Outcome, Ms) {
    let started = clock::now();
    let timeout = u32::try_from(timing.push_timeout).unwrap_or(u32::MAX);
    let signal = AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(timeout));
    let outcome = match exchange(post, timing, &signal, started).await {
        Ok(outcome) => outcome,
        Err(_) if signal.aborted() => Outcome::unanswered(ErrorClass::Timeout),
        Err(_) => Outcome::unanswered(ErrorClass::Connection),
    };
    (outcome, clock::now() - started)
}

async fn exchange(
    post: &Post,
    timing: &Timing,
    signal: &AbortSignal,
    now: Ms,
) -> worker::Result<Outcome> {
    let timestamp = now.div_euclid(1000);
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("user-agent", concat!("multiclaude-hybrid/", env!("CARGO_PKG_VERSION")))?;
    headers.set(webhook::HEADER_ID, &post.id)?;
    headers.set(webhook::HEADER_TIMESTAMP, &timestamp.to_string())?;
    let signature = webhook::sign_all(&post.secrets, &post.id, timestamp, &post.body);
    headers.set(webhook::HEADER_SIGNATURE, &signature)?;
    // The bare `fetch` of the runtime: the crate's own sets two dozen
    // properties of Cloudflare's edge on every request.
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers.0);
    init.set_redirect(web_sys::RequestRedirect::Manual);
    init.set_body(&JsValue::from_str(&post.body));
    init.set_signal(Some(signal));
    let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let promise = global.fetch_with_str_and_init(&post.url, &init);
    let response = js_sys::futures::JsFuture::from(promise).await?;
    let response: web_sys::Response = response.dyn_into()?;
    let mut response = Response::from(response);
    let code = response.status_code();
    let retry_after = response.headers().get("retry-after")?;
    let answered_at = Timestamp(clock::now());
    let retry_after_secs =
        retry_after.and_then(|text| retry_after::read(text.trim_ascii(), answered_at));
    let has_report = may_report(&response)?;
    let body = Duration::from_millis(timing.push_body.unsigned_abs());
    let within = if has_report { body } else { DRAIN_TIMEOUT };
    let read = Box::pin(read_body(&mut response));
    // A body that breaks or is slow changes nothing; dropping it cancels the rest.
    let report = match select(read, Delay::from(within)).await {
        Either::Left((Ok(bytes), _)) if has_report => report(&bytes),
        _ => Report::DELIVERED,
    };
    Ok(Outcome::of(code, report, retry_after_secs))
}

/// May the body report acked or seen? Only JSON with a 2xx.
fn may_report(response: &Response) -> worker::Result<bool> {
    let content_type = response.headers().get("content-type")?.unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default();
    let is_json = kind.trim().eq_ignore_ascii_case("application/json");
    Ok(is_json && (200..300).contains(&response.status_code()))
}

/// Reads a body of at most 4 KiB; a larger one counts as empty.
async fn read_body(response: &mut Response) -> worker::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Ok(mut stream) = response.stream() else {
        return Ok(bytes);
    };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > ANSWER_MAX {
            return Ok(Vec::new());
        }
        bytes.extend(chunk);
    }
    Ok(bytes)
}

/// The report in a JSON answer: `"status": "acked"`, `"seen": true`.
fn report(bytes: &[u8]) -> Report {
    let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let acked = answer.get("status").and_then(Value::as_str) == Some("acked");
    let report = if acked { Report::ACKED } else { Report::DELIVERED };
    let seen = answer.get("seen").and_then(Value::as_bool) == Some(true);
    if seen { report.and_seen() } else { report }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_report_acked_or_seen_and_everything_else_means_delivered() {
        for (text, wanted) in [
            (r#"{"status":"acked"}"#, Report::ACKED),
            (r#"{"seen":true}"#, Report::DELIVERED.and_seen()),
            (r#"{"status":"ok","seen":true}"#, Report::DELIVERED.and_seen()),
            (r#"{"seen":true,"status":"acked"}"#, Report::ACKED.and_seen()),
            (r#"{"seen":"true","status":["acked"]}"#, Report::DELIVERED),
            (r#"{"seen":false}"#, Report::DELIVERED),
            ("[true]", Report::DELIVERED),
            ("seen", Report::DELIVERED),
            ("", Report::DELIVERED),
        ] {
            assert_eq!(report(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(report(b"{\"seen\":true\xff}"), Report::DELIVERED);
    }
}
