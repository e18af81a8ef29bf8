//! `runner status`.

use crate::failure::{Failure, Outcome};
use crate::output::{self, Look, ago, line, safe};
use crate::session::Session;
use crate::table::{Column, Fit, table, whole};
use multiclaude_hybrid_client::protocol::Timestamp;
use multiclaude_hybrid_runner::dirs::Dirs;
use multiclaude_hybrid_runner::job;
use multiclaude_hybrid_runner::status::{Status, WorkerStatus};
use multiclaude_hybrid_runner::worker::Stage;
use serde_json::json;

pub(super) fn status(session: &Session, dirs: &Dirs) -> Outcome {
    if !dirs.is_running() {
        return session.out.show(&json!({ "running": false }), || {
            "No runner runs here. Start one: multiclaude-hybrid runner run OWNER/REPO".to_owned()
        });
    }
    let path = dirs.status();
    let status: Option<Status> = job::read(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    let status = status.unwrap_or_default();
    session.out.show(&output::running(&status), || lines(&status).join("\n"))
}

fn lines(status: &Status) -> Vec<String> {
    let running = match (status.draining, status.paused) {
        (true, _) => Look::Warning.paint("draining: nothing is claimed, it ends with its workers"),
        (_, true) => Look::Warning.paint("paused (multiclaude-hybrid runner resume)"),
        _ => Look::Good.paint("running"),
    };
    let started = ago(Timestamp(status.started_ms));
    let count = status.workers.iter().filter(|worker| worker.stage != Stage::Reporting).count();
    let mut lines = vec![
        format!("runner       {running}, process {}, started {started}", status.pid),
        safe(&format!("this machine {}", status.node)),
        format!("workers      {count} of {}, executor {}", status.max_workers, status.executor),
    ];
    if !status.labels.is_empty() {
        lines.push(safe(&format!("labels       {}", status.labels.join(", "))));
    }
    if !status.not_enforced.is_empty() {
        lines.push(safe(&format!(
            "not limited  {} (no control groups)",
            status.not_enforced.join(", ")
        )));
    }
    for repo in &status.repos {
        let state = match &repo.error {
            Some(error) => Look::Bad.paint(&safe(error)),
            None => Look::Good.paint("claims requests"),
        };
        lines.push(format!("{}  {state}", safe(&repo.repo)));
        let pushes = repo.pushes.iter();
        lines.extend(pushes.map(|reason| format!("  no pushes: {}", safe(reason))));
    }
    if !status.workers.is_empty() {
        lines.push(String::new());
        lines.push(listed(&status.workers));
    }
    for worker in &status.workers {
        let error = worker.error.iter();
        lines
            .extend(error.map(|error| format!("{}: {}", worker.id, Look::Bad.paint(&safe(error)))));
    }
    lines
}

fn listed(workers: &[WorkerStatus]) -> String {
    let stage = |worker: &WorkerStatus| match worker.stage {
        Stage::Starting => ("starting".to_owned(), Look::Plain),
        Stage::Running => ("running".to_owned(), Look::Good),
        Stage::Reporting => ("reporting its end".to_owned(), Look::Warning),
    };
    let columns: [Column<'_, WorkerStatus>; 5] = [
        ("ID", Fit::Whole, &|worker| whole(&worker.id)),
        ("NAME", Fit::Whole, &|worker| whole(worker.name.as_deref().unwrap_or_default())),
        ("STAGE", Fit::Whole, &stage),
        ("TASK", Fit::Shrinks, &|worker| whole(line(&worker.task, 50))),
        ("SINCE", Fit::Spare, &|worker| whole(ago(Timestamp(worker.since_ms)))),
    ];
    table(workers, &columns)
}
