//! The coordinator as its users meet it. One file a section of the design;
//! a test's name is a sentence of it.

mod access;
mod agents;
mod audit;
mod bridge;
mod callbacks;
mod claude_stand_in;
mod cli;
mod config;
mod cors;
mod cost;
mod crashes;
mod dev;
mod errors;
mod hop;
mod identity;
mod inbox;
mod inbox_outages;
mod invites;
mod messages;
mod push;
mod receivers;
mod retention;
mod runner;
mod secrecy;
mod spawn_push;
mod stand_in;
mod storage;
mod streams;
mod workers;

use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::error::Problem;
use serde_json::{Value, json};

/// The code that a call was refused with.
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    problem(result).code
}

/// The fields that a call was refused for.
fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    let errors = problem(result).errors;
    errors.into_iter().map(|error| error.field).collect()
}

/// What the coordinator said to a call that it refused.
fn problem<T: std::fmt::Debug>(result: Result<T, Error>) -> Problem {
    let error = result.expect_err("not refused");
    let problem = error.problem().cloned();
    problem.unwrap_or_else(|| panic!("not refused: {error:?}"))
}

/// A registration without an endpoint.
fn agent(name: &str) -> Value {
    json!({"name": name, "type": "worker"})
}

/// A message.
fn message(from: &str, to: &str, body: &str) -> Value {
    json!({"from": from, "to": to, "body": body})
}

/// A request without the client, for what the client would not send.
async fn raw(request: reqwest::RequestBuilder) -> (u16, reqwest::header::HeaderMap, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
