//! `audit`: who did what in a repo.

use crate::failure::{Exit, Outcome};
use crate::output::{Look, line, word};
use crate::session::{Need, Session};
use crate::table::{Fit, table};
use clap::Args;
use multiclaude_hybrid_client::protocol::audit::AuditEntry;

/// Show who changed what in a repo (service and admin tokens).
///
/// The newest entry comes first. Tokens, agents, requests for workers and the shared configuration are in
/// the log; messages are not.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// At most this many entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// The repo: multiclaude's name for it, or owner/repo
    #[arg(long, short, value_name = "REPO")]
    repo: Option<String>,
}

impl AuditArgs {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> Outcome {
        let at = session.in_repo(self.repo.as_deref(), Need::Manage)?;
        let entries = at.client.audit(self.limit.try_into().unwrap_or(usize::MAX)).await;
        let entries = entries.map_err(|error| {
            session.explain(error.into(), &at.login).instead(
                Exit::Forbidden,
                "the audit log takes a service or an admin token; if you have one: \
                 multiclaude-hybrid login. If not, ask the coordinator's admin",
            )
        })?;
        session.out.show(&entries, || match entries.as_slice() {
            [] => format!("the audit log of {} is empty", at.repo),
            entries => shown(entries),
        });
        Ok(())
    }
}

fn shown(entries: &[AuditEntry]) -> String {
    let row = |entry: &AuditEntry| {
        let plain = |text: String| (text, Look::Plain);
        let who =
            format!("{} ({})", line(entry.actor.owner.as_str(), 40), entry.actor.kind.as_str());
        vec![
            plain(word(&entry.at)),
            plain(who),
            plain(entry.action.as_str().to_owned()),
            plain(line(&entry.subject, 80)),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let head = [
        ("TIME", Fit::Whole),
        ("WHO", Fit::Shrinks),
        ("ACTION", Fit::Whole),
        ("SUBJECT", Fit::Shrinks),
    ];
    table(&head, &rows)
}
