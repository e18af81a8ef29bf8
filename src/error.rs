//! Failures of requests, and the only place that makes a response of one. Handlers and
//! stores return [`ApiError`]; an internal error keeps its cause for the log and gives
//! the client a request id.

use multiclaude_hybrid_core::mailbox::{CAPACITY, Refused};
use multiclaude_hybrid_core::timing::{DAY, HOUR, Timing};
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::body::BodyError;
use multiclaude_hybrid_protocol::error::{FieldError, Problem};
use std::fmt::Display;
use worker::{Headers, Response};

#[derive(Debug)]
pub struct ApiError {
    /// The kind, which chooses the status.
    pub code: ErrorCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_secs: Option<u32>,
    allow: Option<String>,
    /// For the log only.
    pub cause: Option<String>,
}

impl ApiError {
    /// A failure that the client can fix; `detail` says how.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_secs: None,
            allow: None,
            cause: None,
        }
    }

    /// An internal error: `cause` goes to the log, not to the client.
    pub fn internal(cause: impl Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(
                ErrorCode::Internal,
                "Something went wrong in the coordinator. Its log has the cause under the \
                 request_id. The request may be repeated.",
            )
        }
    }

    /// D1 or a mailbox did not answer: `cause` goes to the log.
    pub fn unavailable(what: &str, cause: impl Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            retry_after_secs: Some(1),
            ..Self::new(
                ErrorCode::Unavailable,
                format!("{what} does not answer. Try again in a second."),
            )
        }
    }

    /// A value in the path, query or headers is wrong.
    pub fn parameter(code: ErrorCode, field: &str, message: impl Display) -> Self {
        let error = FieldError::new(field, message);
        Self {
            errors: vec![error.clone()],
            ..Self::new(code, format!("{field} {}.", error.message))
        }
    }

    /// Fields of the body are wrong.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let list: Vec<_> =
            errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
        Self { errors, ..Self::new(ErrorCode::ValidationFailed, format!("{}.", list.join("; "))) }
    }

    #[must_use]
    pub fn retry_after(self, secs: u32) -> Self {
        Self { retry_after_secs: Some(secs), ..self }
    }

    #[must_use]
    pub fn allow(self, methods: String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// The problem document as JSON.
    pub fn into_problem(self, request_id: &str) -> serde_json::Result<String> {
        let problem = Problem::new(self.code, &self.detail, request_id, self.errors);
        serde_json::to_string(&problem)
    }

    /// The response to the client.
    pub fn into_response(self, request_id: &str) -> worker::Result<Response> {
        let headers = Headers::new();
        headers.set("content-type", "application/problem+json")?;
        if let Some(secs) = self.retry_after_secs {
            headers.set("retry-after", &secs.to_string())?;
        }
        if let Some(methods) = &self.allow {
            headers.set("allow", methods)?;
        }
        if self.code == ErrorCode::Unauthenticated {
            headers.set("www-authenticate", "Bearer realm=\"multiclaude-hybrid\"")?;
        }
        if self.code == ErrorCode::UpgradeRequired {
            headers.set("upgrade", "websocket")?;
        }
        let status = self.code.status();
        let body = self.into_problem(request_id)?.into_bytes();
        Ok(Response::from_bytes(body)?.with_headers(headers).with_status(status))
    }
}

/// A 403 with its reason.
pub fn forbidden(detail: &str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, detail)
}

/// There is nothing at this path.
pub fn no_such_path() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "There is nothing at this path. All paths begin with /v1; /v1/docs shows them.",
    )
}

/// For the log: the cause, where there is one.
impl Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.cause.as_ref().unwrap_or(&self.detail))
    }
}

impl From<worker::Error> for ApiError {
    fn from(error: worker::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Fields(errors) => Self::fields(errors),
            BodyError::TooLarge { ref field, max, .. } => Self {
                errors: vec![FieldError::new(field, format!("is larger than {max} bytes"))],
                ..Self::new(
                    ErrorCode::BodyTooLarge,
                    format!("{error}. Send a link to the text, or put it into the repo."),
                )
            },
            error => {
                Self::new(ErrorCode::InvalidJson, format!("The request is not valid: {error}."))
            }
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::AgentNotFound => Self::new(
                ErrorCode::AgentNotFound,
                "No agent of that name is registered in this repo.",
            ),
            Refused::Superseded => Self::new(
                ErrorCode::AgentSuperseded,
                "The incarnation in the Agent-Id header has ended: the agent was deregistered or \
                 another one has its name now. Stop acting for it.",
            ),
            Refused::NotYours => forbidden(
                "This agent belongs to another owner. Only its owner's tokens and service tokens \
                 of the repo read and acknowledge its messages; a receipt is for the sender, too.",
            ),
            Refused::MessageNotFound => {
                let kept = Timing::default();
                Self::new(
                    ErrorCode::MessageNotFound,
                    format!(
                        "No such message in this agent's mailbox. Acknowledged messages are kept \
                         for {} hours, delivered and failed ones for {} days.",
                        kept.keep_acked / HOUR,
                        kept.keep_ended / DAY
                    ),
                )
            }
            Refused::InvalidTransition { current } => Self::new(
                ErrorCode::InvalidTransition,
                format!(
                    "The message is {current} already; a status only moves forward, pending, \
                     delivered, acked, and a failed message stays failed."
                ),
            ),
            Refused::MailboxFull => Self::new(
                ErrorCode::MailboxFull,
                format!(
                    "{CAPACITY} messages are pending in the recipient's mailbox. Try again when \
                     some were delivered."
                ),
            )
            .retry_after(60),
            Refused::IdempotencyMismatch => Self::new(
                ErrorCode::IdempotencyMismatch,
                "This Idempotency-Key was used for different content from this sender to this \
                 recipient. Use a new key for a new message.",
            ),
            Refused::Stale => Self::new(
                ErrorCode::Conflict,
                "A concurrent request changed this agent. Read it and try again.",
            ),
            Refused::NoEndpoint => Self::new(ErrorCode::NoEndpoint, "The agent has no endpoint."),
            Refused::Unavailable { cause } => Self::unavailable("The mailbox", cause),
            Refused::Broken { cause } => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    /// Many readers of an error do not call the API: the client knows which of its commands
    /// helps.
    #[test]
    fn errors_state_facts_and_quote_no_call_of_the_api() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let calls = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "\"take_over", "\\\"take_over"];
        for path in files(&src) {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().lines();
            // SQL is not the text of an error.
            let quotes = |line: &&str| {
                !line.trim_start().starts_with("//")
                    && !line.contains("DELETE FROM")
                    && calls.iter().any(|call| line.contains(call))
            };
            assert_eq!(
                code.filter(quotes).collect::<Vec<_>>(),
                Vec::<&str>::new(),
                "{}",
                path.display()
            );
        }
    }
}
