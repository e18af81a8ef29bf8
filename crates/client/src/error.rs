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
    /// The coordinator refused the call, or failed itself (5xx; then its log has the
    /// `request_id`).
    #[error("{}", describe(.problem))]
    Refused {
        /// The coordinator's explanation; its `status` is the one of the answer.
        problem: Box<Problem>,
        /// How long to wait, if the coordinator says.
        retry_after: Option<Duration>,
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
    match problem.status {
        500.. => format!("{text} (request {})", problem.request_id),
        _ => text,
    }
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
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The coordinator's error code, if the coordinator refused the call.
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem().map(|problem| problem.code)
    }

    /// The HTTP status, if the coordinator refused the call: 401 for a token that is unknown,
    /// revoked or expired, 403 for one that does not allow the call, 404, …
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    /// Is the resource not in a state for this call (409), or was it changed (412)?
    pub fn is_conflict(&self) -> bool {
        matches!(self.status(), Some(409 | 412))
    }

    /// How long the server asks to wait before the next call, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Unexpected { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Is the coordinator away, or has it failed? Then the same call may succeed later
    /// without any change.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => problem.status >= 500,
            Self::Unreachable { .. } | Self::Stream(_) => true,
            // A proxy's page, while the coordinator restarts.
            Self::Unexpected { status, retry_after, .. } => {
                *status >= 500 || matches!(status, 408 | 425) || retry_after.is_some()
            }
            _ => false,
        }
    }

    /// Was the call refused because of a limit? Then it had no effect.
    pub fn is_limit(&self) -> bool {
        self.status() == Some(429) || matches!(self, Self::Unexpected { status: 429, .. })
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
        let Ok(mut problem) = serde_json::from_str::<Box<Problem>>(text) else {
            return Self::unexpected(base, status, text, retry_after);
        };
        problem.status = status.as_u16();
        Self::Refused { problem, retry_after }
    }
}
