//! The agent registry.

use crate::operation::{Operation, delete, get, patch, post};
use crate::parameters::{path, query};
use crate::schemas::Schemas;
use crate::{examples, links};
use multiclaude_hybrid_protocol::agent::{
    Agent, AgentStatus, AgentUpdate, EndpointTest, Location, Registration,
};
use multiclaude_hybrid_protocol::heartbeat::{HEARTBEATS_MAX, Heartbeat, HeartbeatResult};
use multiclaude_hybrid_protocol::webhook::Secret;
use multiclaude_hybrid_protocol::{AgentName, ErrorCode};
use serde_json::{Value, json};

const AGENTS: &str = "/v1/repos/{owner}/{repo}/agents";
const AGENT: &str = "/v1/repos/{owner}/{repo}/agents/{name}";
const SECRET: &str = "/v1/repos/{owner}/{repo}/agents/{name}/endpoint/secret";
const TEST: &str = "/v1/repos/{owner}/{repo}/agents/{name}/endpoint/test";

/// An operation on one agent, by its name.
fn named(operation: Operation, name: &Value) -> Operation {
    operation
        .path_parameter(path("name", "The agent's name.", name.clone(), "merge-queue"))
        .agent_id()
        .fails(&[ErrorCode::AgentNotFound])
}

fn ways_on(operation: Operation) -> Operation {
    let name = [("name", "$response.body#/name")];
    operation
        .link("get", links::in_repo("getAgent", &name))
        .link("update", links::in_repo("updateAgent", &name))
        .link("deregister", links::in_repo("deregisterAgent", &name))
        .link("messages", links::in_repo("listMessages", &name))
}

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    registry(schemas).into_iter().chain(endpoints(schemas)).collect()
}

fn registry(schemas: &mut Schemas) -> Vec<Operation> {
    let (agent, name) = (schemas.of::<Agent>(), schemas.of::<AgentName>());
    let (location, status) = (schemas.of::<Location>(), schemas.of::<AgentStatus>());
    let registration = schemas.request::<Registration>();
    let update = schemas.request::<AgentUpdate>();
    let beat = schemas.request::<Heartbeat>();
    let result = schemas.of::<HeartbeatResult>();
    let example = examples::agent;
    vec![
        ways_on(
            post(AGENTS, "registerAgent", "Registers an agent, or renews it")
                .about("The same owner and `instance` renew a registration: same `id`, mailbox kept. Others get 409 `agent_exists`, and may `take_over` once the holder is stopped or was not seen for 180 s, and has no open stream. `webhook_secret` is only in the answer that generated it.")
                .body(registration, true, &[
                    ("polling", json!({ "name": "workspace", "type": "workspace" })),
                    ("pushed to", json!({ "name": "merge-queue", "type": "merge-queue", "location": "remote", "endpoint": "https://hooks.example.com/merge-queue", "metadata": { "model": "opus" } })),
                ])
                .answers(200, "Renewed.", agent.clone(), example())
                .answers(201, "A new incarnation.", agent.clone(), example()),
        )
        .fails(&[ErrorCode::AgentExists, ErrorCode::Conflict]),
        get(AGENTS, "listAgents", "Lists agents")
            .unchecked(query("type", "Only of this type.", json!({ "type": "string" })))
            .parameter(query("location", "Only those that run there.", location))
            .parameter(query("status", "Only of this status.", status))
            .unchecked(query("owner", "Only this owner's.", json!({ "type": "string" })))
            .lists("By name.", agent.clone(), example(), query("after", "The last name of the page before.", name.clone())),
        named(get(AGENT, "getAgent", "One agent, with the number of its pending messages"), &name)
            .answers(200, "The agent.", agent.clone(), example()),
        named(patch(AGENT, "updateAgent", "Changes an agent"), &name)
            .about("Absent fields keep their values; an empty object is a heartbeat.")
            .body(update, true, &[
                ("heartbeat", json!({})),
                ("at rest", json!({ "status": "idle" })),
            ])
            .answers(200, "The agent as it is now.", agent, example())
            .fails(&[ErrorCode::Conflict]),
        named(delete(AGENT, "deregisterAgent", "Deregisters an agent"), &name)
            .about("Ends the incarnation; its pending messages become `failed` (`agent_gone`). Repeating it is harmless.")
            .nothing(204, "It is gone.")
            .fails(&[ErrorCode::Conflict]),
        post("/v1/repos/{owner}/{repo}/heartbeats", "sendHeartbeats", "Sends the heartbeats of a machine")
            .body(
                json!({ "type": "array", "items": beat, "maxItems": HEARTBEATS_MAX }), true,
                &[("two agents", json!([{ "name": "workspace", "status": "active" }, { "name": "merge-queue" }]))],
            )
            .answers(200, "The result for each agent.", json!({ "type": "array", "items": result }), json!([{ "name": "workspace", "result": "ok" }, { "name": "merge-queue", "result": "agent_not_found" }])),
    ]
}

fn endpoints(schemas: &mut Schemas) -> Vec<Operation> {
    let (name, secret) = (schemas.of::<AgentName>(), schemas.of::<Secret>());
    let rotated = json!({
        "type": "object", "required": ["webhook_secret"], "properties": { "webhook_secret": secret },
    });
    let tested = schemas.of::<EndpointTest>();
    let secret = json!({ "webhook_secret": examples::SECRET });
    let outcome = json!({ "ok": true, "status": 204, "error": null, "duration_ms": 87 });
    vec![
        named(post(SECRET, "rotateSecret", "Replaces the endpoint's secret"), &name)
            .about("Pushes are signed with both secrets for 24 h.")
            .answers(200, "The new secret, shown once.", rotated, secret)
            .fails(&[ErrorCode::NoEndpoint, ErrorCode::Conflict]),
        named(post(TEST, "testEndpoint", "Sends `endpoint.test` and returns the outcome"), &name)
            .about("After a successful test pending messages are pushed at once.")
            .answers(200, "The outcome, without the endpoint's answer.", tested, outcome)
            .fails(&[ErrorCode::NoEndpoint]),
    ]
}
