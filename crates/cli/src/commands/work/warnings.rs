//! Warnings for the person who asks for a worker.

use multiclaude_hybrid_client::protocol::Timestamp;
use multiclaude_hybrid_client::protocol::spawn::{SpawnRequest, SpawnStatus};
use std::process::{Command, Stdio};

/// A runner that has not asked for work for so long is away, in ms.
const RUNNER_AWAY_MS: i64 = 10 * 60 * 1000;

/// A warning and a hint, if the request waits where no runner has asked for
/// work lately.
pub(super) fn no_runner(request: &SpawnRequest, now: Timestamp) -> Option<(String, String)> {
    let lately = |seen: Timestamp| now.0 - seen.0 < RUNNER_AWAY_MS;
    if request.status != SpawnStatus::Pending || request.runner_seen_at.is_some_and(lately) {
        return None;
    }
    let repo = &request.repo;
    Some((
        format!(
            "no runner has asked for work in {repo} for 10 minutes: the request waits until one \
             does"
        ),
        format!("multiclaude-hybrid runner run {repo}, on a machine that runs workers"),
    ))
}

/// What a worker elsewhere will not see of this directory's branch.
pub(super) fn unpushed() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let branch = git(&["symbolic-ref", "--short", "HEAD"])?;
    // Commits of this branch that no branch of any remote has.
    let count: u32 = git(&["rev-list", "--count", "HEAD", "--not", "--remotes"])?.parse().ok()?;
    (count > 0).then(|| {
        let (commits, are, them) = match count {
            1 => ("1 commit".to_owned(), "is", "it"),
            count => (format!("{count} commits"), "are", "them"),
        };
        format!(
            "{commits} of {branch} {are} not pushed: a worker on another machine will not see {them} \
             (git push)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_request_is_warned_about_ten_minutes_after_the_last_claim() {
        let request = |status: &str, seen: Option<i64>| {
            let request = serde_json::json!({
                "id": "spn_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b", "repo": "acme/app", "task": "t",
                "spawned_by": "user:dan", "priority": 0, "status": status,
                "created_at": "2026-11-22T12:00:00.000Z",
            });
            let request: SpawnRequest = serde_json::from_value(request).unwrap();
            SpawnRequest { runner_seen_at: seen.map(Timestamp), ..request }
        };
        let now = Timestamp(10_000_000);
        let warned = |status, seen| no_runner(&request(status, seen), now).is_some();
        assert!(warned("pending", None));
        assert!(warned("pending", Some(now.0 - RUNNER_AWAY_MS)));
        assert!(!warned("pending", Some(now.0 - RUNNER_AWAY_MS + 1)));
        assert!(!warned("in_progress", None));
    }
}
