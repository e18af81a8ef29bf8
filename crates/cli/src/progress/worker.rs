//! Following a worker to its end.

use super::display::{Display, end_line};
use super::waiting::Waiting;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::line;
use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::protocol::SpawnId;
use multiclaude_hybrid_client::protocol::spawn::{PROGRESS_MAX, SpawnRequest, SpawnStatus};
use std::time::Duration;

/// Between two looks: one D1 statement each.
const EVERY: Duration = Duration::from_secs(1);

fn progress_text(request: &SpawnRequest) -> String {
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

/// Looks at the request `id`, which may be known already, until it has ended, the time
/// is over, or Ctrl-C ends the looking.
pub async fn follow(
    session: &Session,
    at: &InRepo,
    id: &SpawnId,
    request: Option<SpawnRequest>,
) -> Outcome<SpawnRequest> {
    let again = || {
        format!(
            "wait again: multiclaude-hybrid workers wait {id} --repo {0}; cancel it: \
             multiclaude-hybrid workers cancel {id} --repo {0}",
            at.repo
        )
    };
    tokio::select! {
        ended = to_its_end(session, at, id, request) => {
            ended.map_err(|failure| match failure.exit {
                Exit::TimedOut => failure.hint(again()),
                _ => failure,
            })
        }
        _ = tokio::signal::ctrl_c() => {
            end_line();
            Err(Failure::new("no longer waiting; the request stands")
                .exit(Exit::Interrupted)
                .hint(again()))
        }
    }
}

/// An outage of the coordinator is waited out: the worker goes on without it.
async fn to_its_end(
    session: &Session,
    at: &InRepo,
    id: &SpawnId,
    request: Option<SpawnRequest>,
) -> Outcome<SpawnRequest> {
    let waiting = Waiting::new(session.limit);
    let mut waiting = if request.is_some() { waiting.answered() } else { waiting };
    let mut display = Display::new(session);
    let mut request = request;
    loop {
        if let Some(request) = request.take() {
            if matches!(request.status, SpawnStatus::Completed | SpawnStatus::Failed) {
                display.clear();
                return Ok(request);
            }
            display.say(progress_text(&request));
            display.pause(waiting.pause(EVERY)).await;
            if let Err(over) = waiting.check() {
                display.clear();
                return Err(over);
            }
        }
        match waiting.look(at.client.worker(id)).await {
            Ok(Some(now)) => request = Some(now),
            Ok(None) => {
                display.say(waiting.trouble().unwrap_or_default());
                display.pause(waiting.pause(EVERY)).await;
            }
            Err(failure) => {
                display.clear();
                return Err(failure);
            }
        }
    }
}
