//! Following a worker to its end.

use super::waiting::Waiting;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::line;
use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::protocol::SpawnId;
use multiclaude_hybrid_client::protocol::spawn::{PROGRESS_MAX, SpawnRequest, SpawnStatus};
use std::iter::repeat;
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
    mut request: Option<SpawnRequest>,
) -> Outcome<SpawnRequest> {
    let hint = format!(
        "wait again: multiclaude-hybrid workers wait {id} --repo {0}; cancel it: \
         multiclaude-hybrid workers cancel {id} --repo {0}",
        at.repo
    );
    let waiting = Waiting::new(session.limit);
    let waiting = if request.is_some() { waiting.answered() } else { waiting };
    let has_ended = |status| matches!(status, SpawnStatus::Completed | SpawnStatus::Failed);
    let done = super::follow::follow(
        (session, waiting),
        &mut request,
        repeat(EVERY),
        async || at.client.worker(id).await,
        |request| (!has_ended(request.status)).then(|| progress_text(request)),
        ("request", hint.clone()),
    );
    done.await.map_err(|failure| match failure.exit {
        Exit::TimedOut => failure.hint(hint),
        _ => failure,
    })?;
    request.ok_or_else(|| Failure::new("the request was not seen"))
}
