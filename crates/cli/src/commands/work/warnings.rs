//! Warnings for the person who asks for a worker.

use crate::session::{InRepo, Session};
use multiclaude_hybrid_client::protocol::Repo;
use multiclaude_hybrid_client::protocol::config::HybridConfig;
use multiclaude_hybrid_client::protocol::spawn::SpawnStatus;
use std::process::{Command, Stdio};

/// A warning and a hint, if hybrid mode is off where it matters to a worker.
pub(super) fn is_off(
    session: &Session,
    at: &InRepo,
    config: &HybridConfig,
) -> Option<(String, String)> {
    let repo = &at.repo;
    if !session.settings.repo(repo).enabled {
        return Some((
            format!(
                "hybrid mode is off for {repo} on this machine: the request was made anyway, and agents here are not \
                 notified of its end"
            ),
            format!("multiclaude-hybrid config {repo} --hybrid=true"),
        ));
    }
    (!config.enabled).then(|| {
        (
            format!("hybrid mode is off for the team in {repo}: the request was made anyway"),
            format!(
                "with a service or admin token: multiclaude-hybrid config {repo} --enabled=true"
            ),
        )
    })
}

/// A hint for a request that no runner claims.
pub(super) fn run_one(repo: &Repo) -> String {
    format!("multiclaude-hybrid runner run {repo}, on a machine that runs workers")
}

/// A hint at the limit of workers: if none is at work, waiting does not help.
pub(super) async fn at_limit(at: &InRepo) -> String {
    let repo = &at.repo;
    match at.client.workers(Some(SpawnStatus::InProgress)).await {
        Ok(working) if working.is_empty() => format!(
            "no runner works on any of them: multiclaude-hybrid runner run {repo}, on a machine that runs \
             workers; or multiclaude-hybrid workers cancel --all-pending --repo {repo}"
        ),
        _ => format!(
            "wait for one to end, or cancel one: `multiclaude-hybrid workers --repo {repo}` shows them"
        ),
    }
}

/// A warning of commits here that a worker elsewhere does not see.
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
