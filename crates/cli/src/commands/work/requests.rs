//! Requests for workers, as people name and read them.

use crate::failure::Outcome;
use crate::output::{Look, ago, line, safe};
use crate::session::InRepo;
use crate::table::{self, Column, Fit, table, whole};
use multiclaude_hybrid_client::protocol::SpawnId;
use multiclaude_hybrid_client::protocol::spawn::{SpawnRequest, SpawnStatus};

/// All requests, as candidates for the beginning of an id.
pub(super) async fn candidates(at: &InRepo) -> Outcome<Vec<SpawnId>> {
    let requests = at.client.workers(None).await?;
    Ok(requests.into_iter().map(|request| request.id).collect())
}

fn look(status: SpawnStatus) -> Look {
    match status {
        SpawnStatus::Pending => Look::Warning,
        SpawnStatus::InProgress => Look::Plain,
        SpawnStatus::Completed => Look::Good,
        SpawnStatus::Failed => Look::Bad,
    }
}

pub(super) fn listed(requests: &[SpawnRequest]) -> String {
    let status =
        |request: &SpawnRequest| (request.status.as_str().to_owned(), look(request.status));
    let worker = |request: &SpawnRequest| {
        whole(request.worker_name.as_ref().map_or("", |name| name.as_str()))
    };
    let columns: [Column<'_, SpawnRequest>; 7] = [
        ("ID", Fit::Whole, &|request| whole(&request.id)),
        ("STATUS", Fit::Whole, &status),
        ("TASK", Fit::Shrinks, &|request| whole(line(&request.task, 50))),
        ("WORKER", Fit::Shrinks, &worker),
        ("ASKED", Fit::Spare, &|request| whole(ago(request.created_at))),
        ("ASKED BY", Fit::Spare, &|request| whole(line(&request.spawned_by, 30))),
        ("PRIORITY", Fit::Spare, &|request| whole(request.priority)),
    ];
    table(requests, &columns)
}

pub(super) fn details(request: &SpawnRequest) -> String {
    let asked_by = format!("{}, {}", request.spawned_by, ago(request.created_at));
    let status = look(request.status).paint(request.status.as_str());
    table::details(
        format!("{} {status}", request.id),
        &[
            ("task", Some(line(&request.task, 200))),
            ("asked by", Some(asked_by)),
            ("worker", request.worker_name.as_ref().map(ToString::to_string)),
            ("progress", request.progress.as_deref().map(safe)),
            ("runner of", request.claimed_by.as_ref().map(ToString::to_string)),
            ("cancelled", request.cancel_requested.then(|| "asked for".to_owned())),
            ("lease", request.lease_expired.then(|| "expired: its runner is away".to_owned())),
            ("ended", request.finished_at.map(ago)),
            ("summary", request.summary.as_deref().map(safe)),
            ("because", request.failure_reason.as_deref().map(safe)),
        ],
    )
}
