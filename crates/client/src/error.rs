//! Errors of calls.

use crate::{BaseUrlError, Cause};
use multiclaude_hybrid_protocol::error::Problem;
use multiclaude_hybrid_protocol::text::is_hidden;
use multiclaude_hybrid_protocol::{ErrorCode, MessageId};
use reqwest::StatusCode;
use std::error::Error as _;
use std::time::Duration;

/// Why a call failed. The server's own explanation is in [`Error::problem`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 401: the token is unknown, revoked or expired.
    #[error("{}", describe(.0))]
    Unauthenticated(Box<Problem>),
    /// 403: the token does not allow this call.
    #[error("{}", describe(.0))]
    Forbidden(Box<Problem>),
    /// 404: there is no such resource.
    #[error("{}", describe(.0))]
    NotFound(Box<Problem>),
    /// 409 and 412: the resource is not in a state for this call; `code` says why.
    #[error("{}", describe(.problem))]
    Conflict {
        /// `agent_exists`, `lease_lost`, `precondition_failed`, …
        code: ErrorCode,
        /// The server's explanation.
        problem: Box<Problem>,
    },
    /// 429: a limit is reached.
    #[error("{}", describe(.problem))]
    RateLimited {
        /// How long to wait, if the server says.
        retry_after: Option<Duration>,
        /// The server's explanation.
        problem: Box<Problem>,
    },
    /// Another 4xx: the request itself is wrong.
    #[error("{}", describe(.0))]
    Invalid(Box<Problem>),
    /// 5xx: the coordinator failed; its log has the `request_id`.
    #[error("{} (request {})", describe(.problem), .problem.request_id)]
    Failed {
        /// How long to wait, if the server says.
        retry_after: Option<Duration>,
        /// The server's explanation.
        problem: Box<Problem>,
    },
    /// The coordinator could not be reached, or did not answer in full in time.
    #[error("{base} cannot be reached: {reason}")]
    Unreachable {
        /// The URL of the coordinator.
        base: String,
        /// Why the connection failed, for programs.
        cause: Cause,
        /// Why the connection failed, for people.
        reason: String,
        /// Is it certain that nothing of the request has arrived?
        unsent: bool,
    },
    /// The answer does not come from a coordinator, but from another program or a proxy
    /// in between.
    #[error("{}", describe_unexpected(.base, *.status, .text))]
    Unexpected {
        /// The URL that was called.
        base: String,
        /// The status of the answer.
        status: u16,
        /// How long to wait, if the answer says.
        retry_after: Option<Duration>,
        /// The beginning of the body.
        text: String,
    },
    /// A stream broke.
    #[error("the stream broke: {0}")]
    Stream(Box<tokio_tungstenite::tungstenite::Error>),
    /// The coordinator closed a stream for good.
    #[error("the stream was closed ({code}): {reason}")]
    Closed {
        /// The WebSocket close code.
        code: u16,
        /// The coordinator's explanation.
        reason: String,
    },
    /// A message of an inbox was dropped without a confirmation.
    #[error(
        "{0} was received and not confirmed: confirm each message as delivered or acked before the next"
    )]
    Unconfirmed(MessageId),
    /// The inbox has ended. It has returned the reason before.
    #[error("the inbox has ended")]
    Ended,
    /// The URL cannot be a coordinator's.
    #[error(transparent)]
    Url(#[from] BaseUrlError),
    /// The token has characters that no token has.
    #[error(
        "the token is malformed: it has spaces, line breaks or other characters that no token has"
    )]
    MalformedToken,
    /// The client or the request could not be built from the given values.
    #[error("the request could not be made: {0}")]
    Setup(String),
}

/// Characters of an unexpected answer that an error repeats.
const TEXT_MAX: usize = 200;

fn describe(problem: &Problem) -> String {
    let mut text = format!("{}: {}", problem.status, problem.detail);
    for field in &problem.errors {
        text = format!("{text}\n  {}: {}", field.field, field.message);
    }
    text
}

fn describe_unexpected(base: &str, status: u16, text: &str) -> String {
    match status {
        429 => format!("a proxy at {base} answered 429: it limits the rate of requests"),
        500.. => format!(
            "a proxy at {base} answered {status}; the coordinator behind it may be restarting"
        ),
        _ => format!("{base} is not a coordinator: it answered with status {status}: {text}"),
    }
}

impl Error {
    /// The coordinator's explanation, if the coordinator refused the call.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Unauthenticated(problem)
            | Self::Forbidden(problem)
            | Self::NotFound(problem)
            | Self::Conflict { problem, .. }
            | Self::RateLimited { problem, .. }
            | Self::Invalid(problem)
            | Self::Failed { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The coordinator's error code, if the coordinator refused the call.
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem().map(|problem| problem.code)
    }

    /// How long the server asks to wait before the next call, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Failed { retry_after, .. }
            | Self::Unexpected { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Is the coordinator away, or has it failed? Then the same call may succeed later
    /// without any change.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Failed { .. } | Self::Stream(_) => true,
            // A proxy's page, while the coordinator restarts.
            Self::Unexpected { status, retry_after, .. } => {
                *status >= 500 || matches!(status, 408 | 425) || retry_after.is_some()
            }
            _ => false,
        }
    }

    /// Was the call refused because of a limit? Then it had no effect.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Unexpected { status: 429, .. })
    }

    /// May the same call succeed later?
    pub fn is_temporary(&self) -> bool {
        self.is_outage() || self.is_limit()
    }

    pub(crate) fn unanswered(base: &str) -> Self {
        Self::Unreachable {
            base: base.to_owned(),
            cause: Cause::Timeout,
            reason: "no answer in time".to_owned(),
            unsent: false,
        }
    }

    pub(crate) fn transport(base: &str, error: &reqwest::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(deeper) = source {
            reason = deeper.to_string();
            source = deeper.source();
        }
        if error.is_builder() {
            return Self::Setup(reason);
        }
        let cause = Cause::of(error);
        match cause {
            Cause::Timeout => "no answer in time".clone_into(&mut reason),
            Cause::Tls => reason.insert_str(0, "TLS failed: "),
            _ => {}
        }
        Self::Unreachable { base: base.to_owned(), cause, reason, unsent: error.is_connect() }
    }

    pub(crate) fn unexpected(
        base: &str,
        status: StatusCode,
        text: &str,
        retry_after: Option<Duration>,
    ) -> Self {
        let line: String = text
            .chars()
            .map(|char| if is_hidden(char) || char.is_control() { ' ' } else { char })
            .take(TEXT_MAX)
            .collect();
        let base = base.to_owned();
        Self::Unexpected { base, status: status.as_u16(), retry_after, text: line }
    }

    /// The error for an answer that is not a success.
    pub(crate) fn refused(
        base: &str,
        status: StatusCode,
        text: &str,
        retry_after: Option<Duration>,
    ) -> Self {
        let Ok(problem) = serde_json::from_str::<Box<Problem>>(text) else {
            return Self::unexpected(base, status, text, retry_after);
        };
        match status.as_u16() {
            401 => Self::Unauthenticated(problem),
            403 => Self::Forbidden(problem),
            404 => Self::NotFound(problem),
            409 | 412 => Self::Conflict { code: problem.code, problem },
            429 => Self::RateLimited { retry_after, problem },
            500.. => Self::Failed { retry_after, problem },
            _ => Self::Invalid(problem),
        }
    }
}
