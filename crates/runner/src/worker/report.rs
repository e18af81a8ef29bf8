//! Reports a worker's end to the coordinator.

use super::Worker;
use crate::executor::container_failure;
use crate::job::{End, Stop};
use crate::lease::may_succeed_later;
use multiclaude_hybrid_client::protocol::spawn::{
    REASON_CANCELLED, RESULT_MAX, SpawnStatus, WorkerUpdate,
};
use std::fs::File;
use std::io::Read as _;
use tracing::{info, warn};

/// Bytes of output that replace a missing summary.
const OUTPUT: usize = 2 * 1024;

impl Worker {
    /// Reports the end until the coordinator accepts or refuses the report.
    pub(super) async fn report(&self, end: &End) {
        let (summary, log_tail) = (self.summary(), self.log_tail());
        let update = match end.stopped {
            Some(Stop::LeaseLost) => return,
            // Another runner may have the request; if not, offer it again.
            Some(Stop::LeaseExpired) => WorkerUpdate::give_back(&self.lease_token),
            Some(Stop::Drained) if self.record().request.retry => {
                WorkerUpdate::give_back(&self.lease_token)
            }
            _ => update_of(end, summary.as_deref(), &log_tail, &self.lease_token),
        };
        let update = WorkerUpdate { lease_secs: self.shared.options.lease_secs, ..update };
        let (mut tries, mut update) = (0, update);
        loop {
            match self.client().update_worker(&self.id, &update).await {
                Ok(request) => {
                    self.trouble.end(self.id.as_str());
                    let (status, code) = (request.status.as_str(), end.code);
                    info!(id = %self.id, status, code, took_ms = end.took_ms, "a worker has ended");
                    return;
                }
                Err(error) if may_succeed_later(&error) => {
                    self.trouble.begin(self.id.as_str(), &error);
                    tries += 1;
                    self.shared.back_off(tries, error.retry_after()).await;
                }
                // The end without its output is better than none.
                Err(error)
                    if update.log_tail.is_some()
                        && matches!(error.status(), Some(400 | 413 | 422)) =>
                {
                    let problem = error.problem().map(|problem| &*problem.detail);
                    warn!(id = %self.id, problem, "the output of a worker is refused");
                    update.log_tail = None;
                    update.progress = None;
                }
                Err(error) => {
                    warn!(id = %self.id, %error, "the end of a worker is refused");
                    return;
                }
            }
        }
    }

    /// The summary that the worker wrote, if it did.
    fn summary(&self) -> Option<String> {
        use std::os::unix::fs::OpenOptionsExt as _;
        // The worker may have placed anything there: a link to one of our files, a pipe.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).ok()?;
        let file = File::options().read(true).custom_flags(flags).open(self.dirs.summary()).ok()?;
        file.metadata().ok()?.is_file().then_some(())?;
        let mut text = Vec::new();
        file.take(4 * RESULT_MAX as u64).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Deregisters the worker, so that its messages are returned to their senders.
    pub(super) async fn deregister(&self) {
        if !self.executor().registers() {
            return;
        }
        let record = self.record();
        let name = match record.name {
            Some(name) => name,
            // The answer to its registration may have been lost.
            None => match self.executor().name(&self.id, &self.shared.options.node) {
                Ok(name) => name,
                Err(_) => return,
            },
        };
        let mut tries = 0;
        loop {
            let deregistered = async {
                let agent = self.client().agent(&name).await?;
                if agent.metadata.get("request").map(String::as_str) == Some(self.id.as_str()) {
                    self.client().deregister(&name, Some(&agent.id)).await?;
                }
                Ok(())
            };
            match deregistered.await {
                Err(error) if may_succeed_later(&error) => {
                    tries += 1;
                    self.shared.back_off(tries, error.retry_after()).await;
                }
                _ => return,
            }
        }
    }
}

fn update_of(end: &End, summary: Option<&str>, log_tail: &str, token: &str) -> WorkerUpdate {
    let printed = log_tail.trim();
    let update = WorkerUpdate::new(token);
    let update = if printed.is_empty() { update } else { update.with_log(log_tail, true) };
    if end.is_success() {
        let text = summary.unwrap_or_else(|| last_bytes(printed, OUTPUT));
        return WorkerUpdate {
            status: Some(SpawnStatus::Completed),
            summary: Some(first_bytes(text, RESULT_MAX).to_owned()),
            ..update
        };
    }
    let reason = reason(end);
    // After the error itself, docker prints a log line and a reference to its help.
    let is_noise = |line: &str| line.starts_with("time=\"") || line.contains("run --help");
    let mut lines = printed.lines().rev();
    let line = lines.find(|line| end.engine.is_none() || !is_noise(line));
    let detail = summary.or(line).unwrap_or_default();
    let reason = match end.stopped {
        Some(Stop::Cancelled) => REASON_CANCELLED.to_owned(),
        _ if detail.is_empty() => reason,
        _ => format!("{reason}: {}", first_bytes(detail, RESULT_MAX / 2)),
    };
    WorkerUpdate {
        status: Some(SpawnStatus::Failed),
        failure_reason: Some(reason),
        summary: summary.map(|text| first_bytes(text, RESULT_MAX).to_owned()),
        ..update
    }
}

/// Why a worker failed, for people.
fn reason(end: &End) -> String {
    let program = end.program.rsplit('/').next().unwrap_or_default();
    let mut reason = match (end.stopped, &end.error, end.code, end.signal) {
        (Some(Stop::Timeout), ..) => {
            format!("timeout: it was stopped after {} s", end.took_ms.div_euclid(1000))
        }
        (Some(Stop::Disk), ..) => "disk_limit: its directory grew larger than allowed".to_owned(),
        (Some(Stop::Cancelled), ..) => REASON_CANCELLED.to_owned(),
        (Some(Stop::Drained), ..) => "runner_stopped: the runner was stopped".to_owned(),
        (Some(Stop::LeaseLost | Stop::LeaseExpired), ..) => "lease_lost".to_owned(),
        (None, Some(error), ..) => error.clone(),
        (None, None, Some(code), _) => match &end.engine {
            Some(engine) => container_failure(engine, code),
            None => format!("{program} ended with exit code {code}"),
        },
        (None, None, None, Some(signal)) => format!("{program} was ended by signal {signal}"),
        (None, None, None, None) => "its exit status is not known".to_owned(),
    };
    if end.remaining > 0 {
        reason.push_str("; not all of its processes could be ended");
    }
    reason
}

/// The beginning of a text, at most `most` bytes.
fn first_bytes(text: &str, most: usize) -> &str {
    let mut to = text.len().min(most);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    text.get(..to).unwrap_or_default()
}

/// The end of a text, at most `most` bytes.
fn last_bytes(text: &str, most: usize) -> &str {
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: Option<i32>, stopped: Option<Stop>) -> End {
        End { stopped, code, error: None, program: "/usr/bin/claude".into(), ..End::failed("") }
    }

    #[test]
    fn a_success_has_a_summary_and_a_failure_has_its_reason() {
        let of = |end: &End, summary: Option<&str>, log_tail: &str| {
            update_of(end, summary, log_tail, "t")
        };
        let good = of(&end(Some(0), None), None, "opened #12\n");
        assert_eq!(
            (good.status, good.summary.as_deref()),
            (Some(SpawnStatus::Completed), Some("opened #12"))
        );
        assert_eq!(of(&end(Some(0), None), Some("done"), "x").summary.as_deref(), Some("done"));
        let bad = of(&end(Some(3), None), None, "a\nno such file\n");
        assert_eq!(
            bad.failure_reason.as_deref(),
            Some("claude ended with exit code 3: no such file")
        );
        let contained = End { engine: Some("docker".into()), ..end(Some(125), None) };
        let log_tail = "docker: Error: no such image\nRun 'docker run --help' for more information\n\
                   time=\"2026-11-26T13:38:42Z\" level=error msg=\"context canceled\"\n";
        assert_eq!(
            of(&contained, None, log_tail).failure_reason.as_deref(),
            Some("docker could not run the container: docker: Error: no such image")
        );
        let cancelled = of(&end(None, Some(Stop::Cancelled)), None, "x");
        assert_eq!(cancelled.failure_reason.as_deref(), Some("cancelled"));
        let huge = of(&end(Some(1), None), Some(&"ä".repeat(20_000)), "");
        assert!(
            huge.failure_reason.unwrap().len() < RESULT_MAX
                && huge.summary.unwrap().len() <= RESULT_MAX
        );
    }
}
