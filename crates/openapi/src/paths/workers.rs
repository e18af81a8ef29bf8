//! Requests for workers: asked for, claimed, ended, cancelled.

use crate::operation::{Access, Operation, delete, get, patch, post};
use crate::parameters::{named, path, query};
use crate::schemas::Schemas;
use crate::{examples, links};
use multiclaude_hybrid_protocol::callback::Callback;
use multiclaude_hybrid_protocol::spawn::{
    Claim, NewSpawn, SpawnRequest, SpawnStatus, WorkerLog, WorkerUpdate,
};
use multiclaude_hybrid_protocol::{ErrorCode, SpawnId};
use serde_json::{Value, json};

const WORKER: &str = "/v1/repos/{owner}/{repo}/workers/{id}";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    requests(schemas).into_iter().chain(runners(schemas)).collect()
}

fn one(operation: Operation, id: Value) -> Operation {
    operation
        .path_parameter(path("id", "The request's id.", id, examples::SPAWN))
        .fails(&[ErrorCode::WorkerNotFound])
}

fn page(operation: Operation, request: &Value) -> Operation {
    let after = json!({ "type": "integer", "minimum": 0, "maximum": 1_000_000 });
    let after = query("after", "How many to skip.", after);
    let order = "The most urgent first, then the oldest.";
    operation.lists(order, request.clone(), examples::spawn(), after)
}

/// For requesters.
fn requests(schemas: &mut Schemas) -> Vec<Operation> {
    let (request, id) = (schemas.of::<SpawnRequest>(), schemas.of::<SpawnId>());
    let (new, status) = (schemas.request::<NewSpawn>(), schemas.of::<SpawnStatus>());
    let log = schemas.of::<WorkerLog>();
    let this = [("id", "$response.body#/id")];
    let (example, asked) = (examples::spawn, examples::asked);
    vec![
        post("/v1/repos/{owner}/{repo}/workers/spawn", "requestWorker", "Asks for a worker")
            .about("The requester is notified of the end by a message from `system`. `runner_seen_at` in the answer says when a runner last asked for work in this repo.")
            .parameter(named("IdempotencyKey"))
            .agent_id()
            .body(new, true, &[
                ("a task", json!({ "task": "Fix the flaky test in ci.yml" })),
                ("for a runner with docker", json!({ "task": "Build the image", "priority": 10, "labels": ["docker"], "metadata": { "branch": "work/image" } })),
            ])
            .answers(200, "The first request under this `Idempotency-Key`.", request.clone(), asked())
            .answers(201, "It is stored.", request.clone(), asked())
            .link("get", links::in_repo("getWorker", &this))
            .link("update", links::in_repo("updateWorker", &this))
            .link("log", links::in_repo("getWorkerLog", &this))
            .link("cancel", links::in_repo("cancelWorker", &this))
            .fails(&[ErrorCode::SpawnRateLimited, ErrorCode::WorkerLimitReached, ErrorCode::IdempotencyMismatch]),
        page(get("/v1/repos/{owner}/{repo}/workers", "listWorkers", "Lists requests"), &request)
            .parameter(query("status", "Only of this status.", status)),
        page(get("/v1/repos/{owner}/{repo}/workers/pending", "listPendingWorkers", "Requests that no runner has claimed"), &request),
        one(get(WORKER, "getWorker", "One request"), id.clone())
            .answers(200, "The request.", request.clone(), example()),
        one(get("/v1/repos/{owner}/{repo}/workers/{id}/log", "getWorkerLog", "The end of a worker's log"), id.clone())
            .about("As its runner last sent it, for callers who may cancel the request.")
            .answers(200, "The log.", log, examples::log())
            .fails(&[ErrorCode::LogNotFound]),
        one(delete(WORKER, "cancelWorker", "Cancels a request"), id)
            .about("A pending request fails at once; a runner at work is asked to stop by the answer to its next renewal.")
            .answers(200, "The request as it is now.", request, example()),
    ]
}

/// For runners.
fn runners(schemas: &mut Schemas) -> Vec<Operation> {
    let (request, id) = (schemas.of::<SpawnRequest>(), schemas.of::<SpawnId>());
    let (claim, update) = (schemas.request::<Claim>(), schemas.request::<WorkerUpdate>());
    let callback = schemas.request::<Callback>();
    let lease = json!({ "requestBody": { "lease_token": "{$response.body#/lease/token}" } });
    let renew = links::in_repo("updateWorker", &[("id", "$response.body#/id")]);
    let report = Operation::new(
        "post",
        "/v1/repos/{owner}/{repo}/workers/{id}/callback",
        "reportWorker",
        "Reports on a request that was pushed",
        Access::Signature,
    );
    vec![
        post("/v1/repos/{owner}/{repo}/workers/claim", "claimWorker", "Claims the best matching request, with a lease")
            .about("Two callers never get the same one. The body may be left out.")
            .parameter(named("IdempotencyKey"))
            .body(claim, false, &[("a runner's", json!({ "labels": ["docker"], "lease_seconds": 600 }))])
            .answers(200, "The request, with its `lease`.", request.clone(), examples::claimed())
            .link("renew", examples::with(renew, lease))
            .nothing(204, "There is none."),
        one(patch(WORKER, "updateWorker", "Renews the lease, names the worker, ends the request, or gives it back"), id.clone())
            .about("`cancel_requested` in the answer asks the runner to stop. A runner that gets 409 `lease_lost` must stop its worker. `\"status\": \"pending\"` gives the request back, as if it had never been claimed; 409 `invalid_transition` if a worker has started and `retry` is false.")
            .body(update, true, &[
                ("started", json!({ "lease_token": "lease_…", "worker_name": "clever-fox" })),
                ("at work", json!({ "lease_token": "lease_…", "progress": "9 of 10 tests pass", "log_tail": "test nine … ok\n" })),
                ("done", json!({ "lease_token": "lease_…", "status": "completed", "summary": "Opened #14" })),
                ("given back", json!({ "lease_token": "lease_…", "status": "pending" })),
            ])
            .answers(200, "The request as it is now.", request.clone(), examples::spawn())
            .fails(&[ErrorCode::LeaseLost, ErrorCode::InvalidTransition]),
        one(report, id)
            .about("A Standard Webhook under the repo's `webhook_secret`, instead of a token. `worker.started` leases the request or renews, `worker.progress` renews, `worker.completed` and `worker.failed` end it.")
            .body(callback, true, &[
                ("started", json!({ "type": "worker.started", "timestamp": "2026-11-22T12:00:00.000Z", "data": { "id": examples::SPAWN, "worker_name": "clever-fox" } })),
                ("completed", json!({ "type": "worker.completed", "timestamp": "2026-11-22T12:30:00.000Z", "data": { "id": examples::SPAWN, "summary": "Opened #14" } })),
            ])
            .answers(200, "The request as it is now.", request, examples::spawn())
            .fails(&[ErrorCode::CallbackReplayed, ErrorCode::LeaseLost]),
    ]
}
