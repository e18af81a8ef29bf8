//! A task of its own renews a worker's lease, so that no clone, slow start or full disk
//! can keep it from that. Each answer says whether the worker is to be stopped.

use crate::deadline::{self, Moment};
use crate::job::Stop;
use crate::supervisor::tail;
use crate::worker::Worker;
use multiclaude_hybrid_bridge::connection::is_for_later;
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::ErrorCode;
use multiclaude_hybrid_client::protocol::spawn::{LOG_MAX, SpawnRequest, WorkerUpdate};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{info, warn};

/// Between two looks at the clock: `sleep` does not count suspension.
const TICK: Duration = Duration::from_secs(1);
/// The shortest wait before a renewal that failed is tried again.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// What the coordinator's answer to an update means for the worker.
#[derive(Debug)]
pub enum Answer {
    /// It is ours; here is how it stands.
    Holds(Box<SpawnRequest>),
    /// It is not ours any longer.
    Lost(String),
    /// Nothing is known: ask again.
    Later(Error),
}

/// Reads an answer.
pub fn answer(result: Result<SpawnRequest, Error>) -> Answer {
    match result {
        Ok(request) => Answer::Holds(Box::new(request)),
        Err(error)
            if matches!(error.code(), Some(ErrorCode::LeaseLost | ErrorCode::WorkerNotFound)) =>
        {
            Answer::Lost(error.to_string())
        }
        Err(error) => Answer::Later(error),
    }
}

/// Can an error be resolved by waiting, or by a person who renews a token?
pub fn may_pass(error: &Error) -> bool {
    is_for_later(error) || matches!(error, Error::Unauthenticated(_) | Error::Forbidden(_))
}

impl Worker {
    /// Makes an update, which renews the lease.
    pub(crate) async fn update(&self, update: WorkerUpdate) -> Answer {
        let asked = Moment::now();
        let lease_secs = self.shared.options.lease_secs;
        let update = WorkerUpdate { lease_secs, ..update };
        let answer = answer(self.client().update_worker(&self.id, &update).await);
        match &answer {
            Answer::Holds(request) => {
                let lease = self.shared.options.secs(lease_secs.unsigned_abs());
                let margin = self.executor().margin(lease);
                let ends = asked.after(lease.saturating_sub(margin));
                if let Err(error) = deadline::write(&self.dirs.lease(), ends) {
                    warn!(id = %self.id, %error, "the end of the lease could not be written");
                }
                if request.cancel_requested {
                    self.order(Stop::Cancelled);
                }
            }
            Answer::Lost(reason) => {
                info!(id = %self.id, reason, "the lease is lost");
                self.order(Stop::LeaseLost);
            }
            Answer::Later(_) => {}
        }
        answer
    }

    /// An update that says nothing but how the worker is getting on.
    pub(crate) fn news(&self) -> WorkerUpdate {
        let update = WorkerUpdate::new(&self.lease_token);
        let text = self.log();
        let mut reported = locked(&self.reported);
        if *reported == text {
            return update;
        }
        reported.clone_from(&text);
        update.with_progress(last_line(&text)).with_log(&text, true)
    }

    /// The end of what the worker has printed, one byte more than is reported: so that
    /// it is known whether there was more.
    pub(crate) fn log(&self) -> String {
        let most = LOG_MAX as u64 + 1;
        String::from_utf8_lossy(&tail(&self.dirs.output(), most)).into_owned()
    }

    /// Renews the lease until this is dropped, or it is lost.
    pub(crate) async fn renew(&self) {
        let every = self.shared.options.secs(self.shared.options.lease_secs.unsigned_abs()) / 4;
        let tick = TICK.min(every / 4);
        let mut again = Moment::now().after(every);
        loop {
            sleep(tick).await;
            if !again.is_past() {
                continue;
            }
            match self.update(self.news()).await {
                Answer::Holds(_) => {
                    self.trouble.end(self.id.as_str());
                    again = Moment::now().after(every);
                }
                Answer::Lost(_) => return,
                Answer::Later(error) => {
                    // The output of this time is reported with the next renewal.
                    locked(&self.reported).clear();
                    self.trouble.begin(self.id.as_str(), &error);
                    // A longer wait than this could cost the lease.
                    let asked = error.retry_after().unwrap_or_default().min(every);
                    again = Moment::now().after((every / 6).max(MIN_WAIT).max(asked));
                }
            }
        }
    }
}

/// The last line that says something.
fn last_line(text: &str) -> &str {
    let says = |line: &&str| line.chars().any(|c| !c.is_control() && !c.is_whitespace());
    text.lines().rev().find(says).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_last_line_that_says_something() {
        assert_eq!(last_line("one\n\u{1b}[1mtwo\r\n \n"), "\u{1b}[1mtwo");
        assert_eq!(last_line("\n\u{1b}\n"), "");
    }
}
