//! `audit`: who did what in a repo.

use crate::failure::{Exit, Failure, Outcome};
use crate::options::RepoArg;
use crate::output::line;
use crate::session::{Need, Session};
use crate::table::{Column, Fit, table, whole};
use clap::Args;
use multiclaude_hybrid_client::protocol::audit::AuditEntry;

/// Show who changed what in a repo; needs a service or admin token.
///
/// The newest entry comes first. Tokens, agents, requests for workers and the shared configuration are in
/// the log; messages are not.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Show at most this many entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    repo: RepoArg,
}

impl AuditArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.given(), Need::Manage)?;
        let entries = at.client.audit(self.limit.try_into().unwrap_or(usize::MAX)).await;
        let entries = entries.map_err(|error| {
            Failure::from(error).instead(
                Exit::Forbidden,
                "the audit log takes a service or an admin token; if you have one: \
                 multiclaude-hybrid login. If not, ask the coordinator's admin",
            )
        })?;
        session.out.list(&entries, || format!("the audit log of {} is empty", at.repo), listed)
    }
}

fn listed(entries: &[AuditEntry]) -> String {
    let who = |entry: &AuditEntry| {
        let owner = line(entry.actor.owner.as_str(), 40);
        whole(format!("{owner} ({})", entry.actor.kind.as_str()))
    };
    let columns: [Column<'_, AuditEntry>; 4] = [
        ("TIME", Fit::Whole, &|entry| whole(entry.at.to_string())),
        ("WHO", Fit::Shrinks, &who),
        ("ACTION", Fit::Whole, &|entry| whole(entry.action.as_str())),
        ("SUBJECT", Fit::Shrinks, &|entry| whole(line(&entry.subject, 80))),
    ];
    table(entries, &columns)
}
