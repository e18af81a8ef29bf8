//! `workers cancel`.

use super::requests::{candidates, details};
use crate::failure::{Failure, Outcome};
use crate::ids::{self, Given};
use crate::output::{counted, line};
use crate::session::{InRepo, Session};
use clap::Args;
use multiclaude_hybrid_client::protocol::SpawnId;
use multiclaude_hybrid_client::protocol::spawn::{REASON_CANCELLED, SpawnRequest, SpawnStatus};

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The requests' ids, or the beginnings of them
    #[arg(required_unless_present = "all_pending")]
    ids: Vec<Given<SpawnId>>,
    /// Every pending request that you may cancel
    #[arg(long, conflicts_with = "ids")]
    all_pending: bool,
}

impl CancelArgs {
    pub(super) async fn run(&self, session: &Session, at: &InRepo) -> Outcome {
        let ids = ids::find_all(&self.ids, async || candidates(at).await).await?;
        if let [id] = ids.as_slice() {
            let request = at.client.cancel_worker(id).await?;
            return session.out.show(&request, || details(&request));
        }
        let ids = if self.all_pending {
            let pending = at.client.pending_workers().await?;
            pending.into_iter().map(|request| request.id).collect()
        } else {
            ids
        };
        self.each(session, at, &ids).await
    }

    /// Cancels one after the other; those that fail are reported and do not stop
    /// the rest.
    async fn each(&self, session: &Session, at: &InRepo, ids: &[SpawnId]) -> Outcome {
        let (mut cancelled, mut failed) = (Vec::new(), Vec::new());
        for id in ids {
            match at.client.cancel_worker(id).await {
                Ok(request) => {
                    if !session.out.is_json() {
                        session.out.show(&request, || outcome_line(&request))?;
                    }
                    cancelled.push(request);
                }
                // The list has those of others, too.
                Err(error) if error.status() == Some(403) && self.all_pending => {}
                Err(error) => {
                    let failure = Failure::from(error).about(id);
                    failed.push(failure.exit);
                    session.out.fail(&session.explained(failure));
                }
            }
        }
        if session.out.is_json() {
            session.out.show(&cancelled, String::new)?;
        } else if cancelled.is_empty() && failed.is_empty() {
            let none = format!("no pending requests of yours in {}", at.repo);
            session.out.show(&cancelled, || none)?;
        }
        match failed.as_slice() {
            [] => Ok(()),
            [exit, ..] => Err(Failure::new(format!(
                "{} of {} were not cancelled",
                failed.len(),
                counted(failed.len() + cancelled.len(), "request")
            ))
            .exit(*exit)),
        }
    }
}

/// A line about a request that was to be cancelled.
fn outcome_line(request: &SpawnRequest) -> String {
    let outcome = match request.status {
        SpawnStatus::Pending | SpawnStatus::InProgress => "is at work and asked to stop",
        SpawnStatus::Failed if request.failure_reason.as_deref() == Some(REASON_CANCELLED) => {
            REASON_CANCELLED
        }
        SpawnStatus::Failed => "had failed already",
        SpawnStatus::Completed => "had completed already",
    };
    format!("{} {outcome}: {}", request.id, line(&request.task, 50))
}
