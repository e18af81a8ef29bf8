//! Renews a worker's lease in a separate task, so that a clone, a slow start or a full
//! disk does not delay it. Each answer shows whether to stop the worker.

use crate::deadline::{self, Moment};
use crate::job::Stop;
use crate::supervisor::tail;
use crate::worker::Worker;
use multiclaude_hybrid_bridge::connection::is_retryable;
use multiclaude_hybrid_bridge::lock::locked;
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::ErrorCode;
use multiclaude_hybrid_client::protocol::spawn::{LOG_MAX, SpawnRequest, WorkerUpdate};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{info, warn};

/// The wait between two looks at the clock: `sleep` does not count suspension.
const TICK: Duration = Duration::from_secs(1);
/// The shortest wait before a renewal that failed is tried again.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// The meaning of the coordinator's answer to an update.
#[derive(Debug)]
pub enum Answer {
    /// The lease holds; this is the request now.
    Holds(Box<SpawnRequest>),
    /// The lease is lost, for this reason.
    Lost(String),
    /// The call failed: it is not known, so try again.
    Later(Error),
}

/// Interprets the answer to an update.
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

/// May the same call succeed after a wait, or after a person has renewed the token?
pub fn may_succeed_later(error: &Error) -> bool {
    is_retryable(error) || matches!(error.status(), Some(401 | 403))
}

impl Worker {
    /// Sends an update, which also renews the lease.
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

    /// An update with the worker's progress and log, if they have changed.
    pub(crate) fn progress_update(&self) -> WorkerUpdate {
        let update = WorkerUpdate::new(&self.lease_token);
        let text = self.log_tail();
        let mut reported = locked(&self.reported);
        if *reported == text {
            return update;
        }
        reported.clone_from(&text);
        update.with_progress(last_line(&text)).with_log(&text, true)
    }

    /// The end of the worker's output. It has one byte more than is reported, which shows
    /// whether there was more.
    pub(crate) fn log_tail(&self) -> String {
        let most = LOG_MAX as u64 + 1;
        String::from_utf8_lossy(&tail(&self.dirs.output(), most)).into_owned()
    }

    /// Renews the lease until it is lost, or until the future is dropped.
    pub(crate) async fn renew(&self) {
        let every = self.shared.options.secs(self.shared.options.lease_secs.unsigned_abs()) / 4;
        let tick = TICK.min(every / 4);
        let mut again = Moment::now().after(every);
        loop {
            sleep(tick).await;
            if !again.is_past() {
                continue;
            }
            match self.update(self.progress_update()).await {
                Answer::Holds(_) => {
                    self.trouble.end(self.id.as_str());
                    again = Moment::now().after(every);
                }
                Answer::Lost(_) => return,
                Answer::Later(error) => {
                    // The next renewal reports this output again.
                    locked(&self.reported).clear();
                    self.trouble.begin(self.id.as_str(), &error);
                    // A longer wait could lose the lease.
                    let asked = error.retry_after().unwrap_or_default().min(every);
                    again = Moment::now().after((every / 6).max(MIN_WAIT).max(asked));
                }
            }
        }
    }
}

/// The last line with visible characters.
fn last_line(text: &str) -> &str {
    let is_visible = |line: &&str| line.chars().any(|c| !c.is_control() && !c.is_whitespace());
    text.lines().rev().find(is_visible).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_last_line_with_visible_characters() {
        assert_eq!(last_line("one\n\u{1b}[1mtwo\r\n \n"), "\u{1b}[1mtwo");
        assert_eq!(last_line("\n\u{1b}\n"), "");
    }
}
