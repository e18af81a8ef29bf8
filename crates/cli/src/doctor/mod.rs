//! The checks of `doctor`.

mod check;
mod claude;
mod machine;
mod remote;

pub use check::{Check, State};

use crate::failure::Failure;
use crate::session::Session;
use check::Cause;
use multiclaude_hybrid_client::protocol::Repo;

/// All checks; with `only`, those of one repo.
pub async fn all(session: &Session, only: Option<&Repo>) -> Vec<Check> {
    let mut checks = machine::machine(session);
    checks.extend(claude::claude(session));
    let (found, away) = remote::coordinators(session).await;
    if !away.is_empty() {
        checks.retain(|check| check.cause != Some(Cause::Away));
    }
    checks.extend(found);
    checks.extend(remote::repos(session, only, &away).await);
    once(checks)
}

/// The checks without repeated faults: those of the same cause, or with the same text.
fn once(checks: Vec<Check>) -> Vec<Check> {
    let mut kept: Vec<Check> = Vec::new();
    for check in checks {
        let same = |other: &Check| {
            let cause = check.cause.is_some() && other.cause == check.cause;
            cause || (check.state == State::Fault && other.found == check.found)
        };
        if !kept.iter().any(same) {
            kept.push(check);
        }
    }
    kept
}

/// The checks that are possible if the settings cannot be read.
pub fn without_settings(session: &Session, failure: Failure) -> Vec<Check> {
    let mut checks = vec![Check::failed("settings", failure)];
    checks.extend(machine::without_settings(session));
    checks
}

pub fn text(checks: &[Check]) -> String {
    let lines: Vec<_> = checks.iter().map(Check::line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_reported_once_and_each_good_check_always() {
        let token = || Cause::Token("tok_1".to_owned());
        let checks = vec![
            Check::good("a", "ok"),
            Check::good("b", "ok"),
            Check::fault("token tok_1", "401: revoked").because(token()),
            Check::fault("repo acme/app", "401: it does not know the token").because(token()),
            Check::fault("credentials", "others can read it"),
            Check::fault("encryption keys", "others can read it"),
            Check::warning("shim", "missing"),
            Check::fault("repo acme/web", "404"),
        ];
        let kept = once(checks);
        let kept: Vec<_> = kept.iter().map(|check| check.what.as_str()).collect();
        assert_eq!(kept, ["a", "b", "token tok_1", "credentials", "shim", "repo acme/web"]);
    }
}
