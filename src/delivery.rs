//! One signed POST to an endpoint: with a timeout, without following
//! redirects, and reading at most 4 KiB of the answer.

use crate::clock;
use futures_util::StreamExt;
use multiclaude_hybrid_core::Ms;
use multiclaude_hybrid_core::outcome::Answer;
use multiclaude_hybrid_protocol::message::Report;
use multiclaude_hybrid_protocol::webhook::{self, Secret};
use serde_json::Value;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{AbortSignal, Headers, Response, js_sys, web_sys};

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 4096;

/// A payload to be posted.
pub struct Post<'a> {
    /// The checked endpoint.
    pub url: &'a str,
    /// The message's id.
    pub id: &'a str,
    /// The JSON body.
    pub body: &'a str,
    /// Who signs, the newest secret first.
    pub secrets: &'a [Secret],
    /// How long the whole exchange may take.
    pub timeout: Ms,
}

/// Posts, and answers how it went and how long it took.
pub async fn post(post: &Post<'_>) -> (Answer, Ms) {
    let started = clock::now();
    let timeout = u32::try_from(post.timeout).unwrap_or(u32::MAX);
    let signal = AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(timeout));
    let answer = match exchange(post, &signal, started).await {
        Ok(answer) => answer,
        Err(_) if signal.aborted() => Answer::Timeout,
        Err(_) => Answer::Connection,
    };
    (answer, clock::now() - started)
}

async fn exchange(post: &Post<'_>, signal: &AbortSignal, now: Ms) -> worker::Result<Answer> {
    let timestamp = now.div_euclid(1000);
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("user-agent", concat!("multiclaude-hybrid/", env!("CARGO_PKG_VERSION")))?;
    headers.set(webhook::HEADER_ID, post.id)?;
    headers.set(webhook::HEADER_TIMESTAMP, &timestamp.to_string())?;
    let signature = webhook::sign_all(post.secrets, post.id, timestamp, post.body);
    headers.set(webhook::HEADER_SIGNATURE, &signature)?;
    // The bare `fetch` of the runtime: the crate's own sets two dozen
    // properties of Cloudflare's edge on every request.
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers.0);
    init.set_redirect(web_sys::RequestRedirect::Manual);
    init.set_body(&JsValue::from_str(post.body));
    init.set_signal(Some(signal));
    let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let promise = global.fetch_with_str_and_init(post.url, &init);
    let response = js_sys::futures::JsFuture::from(promise).await?;
    let response: web_sys::Response = response.dyn_into()?;
    let mut response = Response::from(response);
    let code = response.status_code();
    let retry_after = response.headers().get("retry-after")?;
    let retry_after_secs = retry_after.and_then(|text| read_retry_after(&text, now));
    // The status is the answer; a body that breaks or hangs changes nothing.
    let report = read_report(&mut response).await.unwrap_or(Report::DELIVERED);
    Ok(Answer::Status { code, report, retry_after_secs })
}

/// Seconds, or the HTTP date of when to come back.
fn read_retry_after(text: &str, now: Ms) -> Option<i64> {
    let text = text.trim();
    if let Ok(secs) = text.parse::<u32>() {
        return Some(secs.into());
    }
    // The runtime's parser: one for mail dates would be 20 KB of wasm.
    let date = worker::js_sys::Date::parse(text);
    date.is_finite().then(|| (date as Ms - now).max(0) / 1000)
}

/// Reads what of the answer fits in 4 KiB, so that the connection can be used
/// again, and drops it; what it said of the message, if it was JSON.
async fn read_report(response: &mut Response) -> worker::Result<Report> {
    if response.headers().get("content-length")?.as_deref() == Some("0")
        || response.status_code() == 204
    {
        return Ok(Report::DELIVERED);
    }
    let content_type = response.headers().get("content-type")?.unwrap_or_default();
    let is_json = content_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let Ok(mut stream) = response.stream() else {
        return Ok(Report::DELIVERED);
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > ANSWER_MAX {
            // Dropping the stream cancels the rest, however long it is.
            return Ok(Report::DELIVERED);
        }
        bytes.extend(chunk);
    }
    Ok(if is_json { said(&bytes) } else { Report::DELIVERED })
}

/// What a JSON answer says beside its status: `"status": "acked"`, `"seen": true`.
fn said(bytes: &[u8]) -> Report {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    let acked = answer.get("status").and_then(Value::as_str) == Some("acked");
    let report = if acked { Report::ACKED } else { Report::DELIVERED };
    let seen = answer.get("seen").and_then(Value::as_bool) == Some(true);
    if seen { report.and_seen() } else { report }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_seconds_is_read() {
        let now = 784_111_777_000;
        assert_eq!(read_retry_after("120", now), Some(120));
    }

    #[test]
    fn an_answer_says_acked_or_seen_and_everything_else_says_delivered() {
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
            assert_eq!(said(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(said(b"{\"seen\":true\xff}"), Report::DELIVERED);
    }
}
