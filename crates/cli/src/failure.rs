//! How a command fails: what was wrong, what to do about it, and a status for
//! scripts. The only place where an exit code is chosen.

use crate::redact::secrets;
use multiclaude_hybrid_bridge::hints::hint_for;
use multiclaude_hybrid_client::protocol::text::visible;
use multiclaude_hybrid_client::protocol::{ErrorCode, Repo};
use multiclaude_hybrid_client::{BaseUrlError, Cause, Error};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Display;
use std::io::ErrorKind;
use std::time::Duration;

/// An exit status: [`STATUSES`] says what each means. That of a timeout is `timeout(1)`'s, and
/// that of a closed pipe the one of a program that SIGPIPE ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Failed = 1,
    Usage = 2,
    NotLoggedIn = 3,
    Forbidden = 4,
    NotFound = 5,
    Conflict = 6,
    RateLimited = 7,
    Unreachable = 8,
    WaitedFailed = 9,
    TimedOut = 124,
    Interrupted = 130,
    PipeClosed = 141,
}

/// Every exit status and its meaning, for the help.
pub const STATUSES: &[(u8, &str)] = &[
    (0, "done"),
    (Exit::Failed as u8, "something on this machine is wrong, or a check found a fault"),
    (Exit::Usage as u8, "a usage error"),
    (Exit::NotLoggedIn as u8, "no valid token (401)"),
    (Exit::Forbidden as u8, "the token does not allow it (403)"),
    (Exit::NotFound as u8, "not found (404)"),
    (Exit::Conflict as u8, "a conflict (409, 412), or encryption does not allow it"),
    (Exit::RateLimited as u8, "a limit is reached (429)"),
    (Exit::Unreachable as u8, "the coordinator cannot be reached, or fails (5xx)"),
    (Exit::WaitedFailed as u8, "the worker or message that was waited for has failed"),
    (Exit::TimedOut as u8, "the time to wait (--timeout, --wait-timeout) is over"),
    (Exit::Interrupted as u8, "interrupted while waiting"),
    (Exit::PipeClosed as u8, "standard output is closed"),
];

#[derive(Debug, Clone)]
pub struct Failure {
    pub exit: Exit,
    /// The coordinator's code, if it is what refused.
    pub code: Option<ErrorCode>,
    pub message: String,
    pub hint: Option<String>,
    /// The same may succeed after this time: the coordinator is away, or a limit is reached.
    pub again: Option<Duration>,
}

pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of this machine, or of how it is set up.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit: Exit::Failed, code: None, message, hint: None, again: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(message).exit(Exit::Usage)
    }

    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, said of `what`.
    #[must_use]
    pub fn about(self, what: impl Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// With this hint, unless there is one already.
    #[must_use]
    pub fn or_hint(mut self, hint: impl FnOnce() -> String) -> Self {
        self.hint.get_or_insert_with(hint);
        self
    }

    /// With this hint, if the exit status is that one.
    #[must_use]
    pub fn instead(self, exit: Exit, hint: &str) -> Self {
        if self.exit == exit { self.hint(hint) } else { self }
    }

    /// The hint of the command, else the usual one for the code.
    pub fn advice(&self) -> Option<Cow<'_, str>> {
        let usual = || Some(Cow::Owned(hint_for(self.code?, None)?));
        self.hint.as_deref().map(Cow::Borrowed).or_else(usual)
    }

    /// With the usual hint for the code, unless there is one already.
    #[must_use]
    pub fn in_repo(self, repo: Option<&Repo>) -> Self {
        let usual = self.code.and_then(|code| hint_for(code, repo));
        Self { hint: self.hint.or(usual), ..self }
    }

    /// Message and hint on one line, for a warning.
    pub fn one_line(&self) -> String {
        match self.advice() {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({ "error": {
            "exit": self.exit as u8,
            "code": self.code,
            "message": self.message,
            "hint": self.advice(),
        }})
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: exit_of(&error),
            code: error.code(),
            // The text of the other side may be anything.
            message: secrets(&visible(&error.to_string())).into_owned(),
            hint: hint_of(&error),
            again: error.is_temporary().then(|| error.retry_after().unwrap_or_default()),
        }
    }
}

fn exit_of(error: &Error) -> Exit {
    match (error.status(), error) {
        (Some(401), _) => Exit::NotLoggedIn,
        (Some(403), _) => Exit::Forbidden,
        (Some(404), _) => Exit::NotFound,
        (Some(409 | 412), _) | (_, Error::Closed { .. }) => Exit::Conflict,
        _ if error.is_limit() => Exit::RateLimited,
        (_, Error::Unexpected { .. }) => Exit::Unreachable,
        _ if error.is_outage() => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

/// The hint for an error that has no code, or one without a hint in [`hint_for`].
fn hint_of(error: &Error) -> Option<String> {
    if let Some(wait) = error.retry_after() {
        let wait = wait.as_secs().max(1);
        return Some(format!("it asks to wait: try again in {wait} s"));
    }
    let text = match error {
        Error::Closed { .. } => {
            "something else receives for this agent now: another --follow, or a bridge"
        }
        Error::Unreachable { base, cause, .. } => {
            return Some(format!(
                "{} `multiclaude-hybrid doctor` checks everything in between",
                check_of(*cause, base)
            ));
        }
        Error::Stream(_) => "try again: the connection broke",
        Error::Unexpected { status: 500.., .. } => "try again in a moment",
        error if error.is_limit() => "try again in 60 s",
        Error::Unexpected { base, .. } => {
            return Some(format!("is {base} really the URL of a coordinator?"));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The hint for a coordinator at `base` that cannot be reached.
pub fn check_of(cause: Cause, base: &str) -> String {
    match cause {
        Cause::Name => format!("is the name in {base} right, and is this machine online?"),
        Cause::Refused => {
            format!("nothing listens there: is the coordinator running, and is {base} its URL?")
        }
        Cause::Timeout => {
            "it does not answer: is this machine online, and does a firewall or proxy stand \
             between?"
                .to_owned()
        }
        Cause::Tls => format!(
            "is {base} right (a coordinator on this machine has http://), is its certificate \
             valid, and is this machine's clock right?"
        ),
        _ => format!("is the coordinator running, and is {base} its URL?"),
    }
}

/// A URL that cannot be a coordinator's; `command` is one that takes a good URL at its
/// end. The suggestion is made of the given text alone: a token will go there.
pub fn wrong_url(error: &BaseUrlError, command: &str) -> Failure {
    Failure::usage(error.to_string()).hint(match error {
        BaseUrlError::Malformed { suggestion: Some(url), .. } => format!("{command}{url}"),
        BaseUrlError::Malformed { suggestion: None, .. } => {
            format!("use the URL that you were given: {command}URL")
        }
        BaseUrlError::Plain { url } => {
            format!("on a network of your own: multiclaude-hybrid login --allow-http --url {url}")
        }
    })
}

/// The failure of a system call on a file: `doing` is a verb.
pub fn io(doing: &str, what: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure {
    let at = format!("cannot {doing} {}", what.display());
    let dir = what.parent().unwrap_or(what).display().to_string();
    move |error| {
        let failure = Failure::new(format!("{at}: {error}"));
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                failure.hint(format!("make room on the disk, then again: df -h {dir}"))
            }
            _ => failure,
        }
    }
}
