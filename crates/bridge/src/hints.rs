//! Advice for each refusal. The coordinator states facts for any client; the commands
//! that help are this program's.

use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_client::protocol::{ErrorCode, Repo};

/// A command or advice for the user who got this error; `None` if the error is clear
/// enough. `repo` is the repo of the failed call, if known.
pub fn hint_for(code: ErrorCode, repo: Option<&Repo>) -> Option<String> {
    let hint = hint_text(code)?;
    let of_repo = ["agents", "inbox", "workers"].iter().any(|command| hint.ends_with(command));
    Some(match repo.filter(|_| of_repo) {
        Some(repo) => format!("{hint} --repo {repo}"),
        None => hint.to_owned(),
    })
}

fn hint_text(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::Unauthenticated => {
            "get a new token from the coordinator's admin, then: multiclaude-hybrid login"
        }
        ErrorCode::Forbidden => {
            "multiclaude-hybrid whoami --all shows what each token of this machine covers"
        }
        ErrorCode::NotFound => {
            "is the coordinator's URL complete? It usually ends with /v1: multiclaude-hybrid doctor"
        }
        ErrorCode::AgentNotFound => "see who is registered: multiclaude-hybrid agents",
        ErrorCode::MessageNotFound => "see the messages that wait: multiclaude-hybrid inbox",
        ErrorCode::TokenNotFound => "see which tokens there are: multiclaude-hybrid tokens",
        ErrorCode::WorkerNotFound => "see the requests: multiclaude-hybrid workers",
        ErrorCode::LogNotFound => "see whether a runner has it: multiclaude-hybrid workers",
        ErrorCode::AgentExists => {
            "choose another name, or see who holds it: multiclaude-hybrid agents"
        }
        ErrorCode::AgentSuperseded => {
            "see which machine has the name now: multiclaude-hybrid agents"
        }
        ErrorCode::OwnerKindConflict => {
            "see which owners there are, and choose another name: multiclaude-hybrid tokens"
        }
        ErrorCode::Conflict | ErrorCode::PreconditionFailed => "run the command again",
        ErrorCode::NoEndpoint => {
            "set one: multiclaude-hybrid agents register NAME --type TYPE --endpoint URL"
        }
        ErrorCode::BodyTooLarge => {
            "put the text into a file or a branch that the agent can read, and send a link to it"
        }
        ErrorCode::IdempotencyMismatch => "use another --key for something new",
        ErrorCode::MailboxFull => {
            "its reader may be gone; see when it was last seen: multiclaude-hybrid agents"
        }
        ErrorCode::WorkerLimitReached => {
            "wait for one to end, or cancel one of these: multiclaude-hybrid workers"
        }
        ErrorCode::Internal | ErrorCode::Unavailable => {
            "try again in a moment; the coordinator's log has the request"
        }
        _ => return None,
    })
}

/// The error with its hint, on one line.
pub fn explained(error: &Error) -> String {
    match error.code().and_then(|code| hint_for(code, None)) {
        Some(hint) => format!("{error} Hint: {hint}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_about_a_repo_names_it() {
        let repo = Repo::parse("acme/app").unwrap();
        let hint = |code| hint_for(code, Some(&repo)).unwrap();
        assert!(hint(ErrorCode::AgentNotFound).ends_with("hybrid agents --repo acme/app"));
        assert!(hint(ErrorCode::WorkerNotFound).ends_with("hybrid workers --repo acme/app"));
        assert!(!hint(ErrorCode::TokenNotFound).contains("--repo"));
    }
}
