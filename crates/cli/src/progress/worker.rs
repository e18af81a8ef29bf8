//! Following a worker to its end.

use super::display::{Display, end_line};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::line;
use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::protocol::spawn::{PROGRESS_MAX, SpawnRequest, SpawnStatus};
use std::time::Duration;

/// Between two looks: one D1 statement each.
const EVERY: Duration = Duration::from_secs(1);

fn told(request: &SpawnRequest) -> String {
    match (state(request), &request.progress) {
        (state, Some(progress)) if request.status == SpawnStatus::InProgress => {
            format!("{state}: {}", line(progress, PROGRESS_MAX))
        }
        (state, _) => state,
    }
}

fn state(request: &SpawnRequest) -> String {
    match (request.status, &request.worker_name) {
        (SpawnStatus::Pending, _) => "waiting for a runner".to_owned(),
        (SpawnStatus::InProgress, _) if request.cancel_requested => "being cancelled".to_owned(),
        (SpawnStatus::InProgress, _) if request.lease_expired => "its runner is away".to_owned(),
        (SpawnStatus::InProgress, None) => "a runner starts the worker".to_owned(),
        (SpawnStatus::InProgress, Some(name)) => format!("{name} is at work"),
        (SpawnStatus::Completed | SpawnStatus::Failed, _) => request.status.as_str().to_owned(),
    }
}

/// Looks at `request` until it has ended, or Ctrl-C ends the looking.
pub async fn follow(
    session: &Session,
    at: &InRepo,
    request: SpawnRequest,
) -> Outcome<SpawnRequest> {
    let id = request.id.clone();
    tokio::select! {
        ended = to_its_end(session, at, request) => ended,
        _ = tokio::signal::ctrl_c() => {
            end_line();
            Err(Failure::new("no longer waiting; the request stands")
                .exit(Exit::Interrupted)
                .hint(format!(
                    "wait again: multiclaude-hybrid workers wait {id} --repo {0}; cancel it: \
                     multiclaude-hybrid workers cancel {id} --repo {0}",
                    at.repo
                )))
        }
    }
}

/// An outage of the coordinator is waited out: the worker goes on without it.
async fn to_its_end(
    session: &Session,
    at: &InRepo,
    request: SpawnRequest,
) -> Outcome<SpawnRequest> {
    let mut display = Display::new(session);
    let mut request = request;
    loop {
        if matches!(request.status, SpawnStatus::Completed | SpawnStatus::Failed) {
            display.clear();
            return Ok(request);
        }
        display.say(told(&request));
        display.pause(EVERY).await;
        match at.client.worker(&request.id).await {
            Ok(now) => request = now,
            Err(error) if error.is_outage() => {
                display.say(format!("waiting for the coordinator: {error}"));
            }
            Err(error) => {
                display.clear();
                return Err(session.explain(Failure::from(error), &at.login));
            }
        }
    }
}
