//! The coordinator as its users meet it. Each file tests one part of it; a test's name is a
//! sentence about its behaviour.

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
mod senders;
mod spawn_push;
mod stand_in;
mod storage;
mod streams;
mod workers;

use e2e::{Answer, Coordinator, Sink, World, eventually, shared};
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_protocol::agent::{Agent, Delivery};
use multiclaude_hybrid_protocol::error::Problem;
use multiclaude_hybrid_protocol::message::{Message, MessageStatus};
use multiclaude_hybrid_protocol::{AgentName, ErrorCode};
use serde_json::{Value, json};
use std::fmt::Display;
use std::sync::LazyLock;

/// The code that a call was refused with.
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    problem(result).code
}

/// The fields that a call was refused for.
fn fields<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    let errors = problem(result).errors;
    errors.into_iter().map(|error| error.field).collect()
}

/// The problem that a call was refused with.
fn problem<T: std::fmt::Debug>(result: Result<T, Error>) -> Problem {
    let error = result.expect_err("not refused");
    let problem = error.problem().cloned();
    problem.unwrap_or_else(|| panic!("not refused: {error:?}"))
}

fn name(text: &str) -> AgentName {
    AgentName::parse(text).unwrap()
}

/// A registration without an endpoint.
fn agent(name: &str) -> Value {
    json!({"name": name, "type": "worker"})
}

/// A registration with an endpoint.
fn with_endpoint(name: &str, url: &str) -> Value {
    json!({"name": name, "type": "worker", "endpoint": url})
}

fn message(from: &str, to: &str, body: &str) -> Value {
    json!({"from": from, "to": to, "body": body})
}

/// dan's `ws`, which sends to ann's `queue`.
async fn agents(world: &World) {
    world.dan.register(&agent("ws")).await.unwrap();
    world.ann.register(&agent("queue")).await.unwrap();
}

/// The same with a `queue` that is pushed to `url`.
async fn pushed_to(world: &World, url: &str) -> Agent {
    world.dan.register(&agent("ws")).await.unwrap();
    world.ann.register(&with_endpoint("queue", url)).await.unwrap()
}

/// A world whose `queue` is pushed to a sink with these answers, and its secret.
async fn pushed(coordinator: &Coordinator, script: Vec<Answer>) -> (World, Sink, String) {
    let (world, sink) = (coordinator.world().await, Sink::start(script).await);
    let queue = pushed_to(&world, &sink.url).await;
    (world, sink, queue.webhook_secret.unwrap())
}

/// A world of the shared coordinator with agents that poll.
async fn two_agents() -> World {
    let world = shared().await.world().await;
    agents(&world).await;
    world
}

/// A message from `ws` to `queue`.
async fn send(world: &World, body: &str) -> Message {
    world.dan.send(&message("ws", "queue", body), None).await.unwrap()
}

/// Messages `0`, `1` … from `ws` to `queue`, in this order; their ids.
async fn send_many(world: &World, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(send(world, &n.to_string()).await.id.to_string());
    }
    ids
}

/// Waits until a message of `ws` has this status.
async fn status_is(world: &World, id: impl Display, wanted: MessageStatus) -> Message {
    eventually(&format!("{id} to be {}", wanted.as_str()), || async {
        world.dan.receipt(&id).await.ok().filter(|receipt| receipt.status == wanted)
    })
    .await
}

/// Waits until an agent gets its messages this way.
async fn delivery_is(world: &World, name: &str, wanted: Delivery) -> Agent {
    eventually(&format!("delivery to be {}", wanted.as_str()), || async {
        Some(world.dan.agent(name).await.unwrap()).filter(|agent| agent.delivery == wanted)
    })
    .await
}

/// Waits for a notice to `ws`.
async fn notice(world: &World) -> Message {
    eventually("the notice", || async { world.dan.messages("ws", "").await.unwrap().pop() }).await
}

/// A client of plain HTTP. It keeps no connections, which would end with the runtime of
/// one test.
fn http() -> reqwest::Client {
    static HTTP: LazyLock<reqwest::Client> =
        LazyLock::new(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap());
    HTTP.clone()
}

/// A request without the client, for what the client would not send.
async fn raw(request: reqwest::RequestBuilder) -> (u16, reqwest::header::HeaderMap, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
