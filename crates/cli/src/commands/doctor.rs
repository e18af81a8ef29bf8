//! `doctor`: everything that a user can have wrong, with a hint for each.

use crate::doctor::{self, Check, State};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, counted};
use crate::session::Session;
use clap::Args;

/// Check everything between agents and coordinator.
///
/// Each fault comes with a hint. The exit status is 1 if a check fails.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Check only this repo: multiclaude's name for it, or owner/repo
    #[arg(long, short = 'R', short_alias = 'r', value_name = "REPO")]
    repo: Option<String>,
}

impl DoctorArgs {
    pub async fn run(&self, session: &Session) -> Outcome {
        let only = match &self.repo {
            Some(repo) => Some(session.resolve(Some(repo))?.0),
            None => None,
        };
        report(session.out, &doctor::all(session, only.as_ref()).await)
    }

    pub fn run_without_settings(out: Output, failure: Failure) -> Outcome {
        let session = Session::without_settings(out)?;
        report(out, &doctor::without_settings(&session, failure))
    }
}

/// Shows what was found; a failure if there is a fault.
fn report(out: Output, checks: &[Check]) -> Outcome {
    let bad = checks.iter().filter(|check| check.state == State::Fault).count();
    out.show(&checks, || doctor::text(checks))?;
    if bad == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("{}; see the hint below each", counted(bad, "fault"))))
}
