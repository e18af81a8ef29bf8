//! The closed set of error codes, and the problem document that carries one
//! (RFC 9457, with `code` and `message` beside the standard members).

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// The kind of an error, for programs. Documented, and never extended silently.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* #[serde(rename = $text)] $variant,)*
        }

        impl schemars::JsonSchema for ErrorCode {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "ErrorCode".into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let description = concat!("The kind of an error, for programs.\n" $(, "\n- `", $text, "`, ", $status, ":", $($doc),*)*);
                schemars::json_schema!({
                    "description": description, "type": "string", "enum": [$($text),*],
                })
            }
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code's text on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// A short summary that does not change from case to case.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// Plain `http`; only `https` is served.
    HttpsRequired = "https_required", 400, "Use https";
    /// The path has an unreadable or forbidden segment.
    InvalidPath = "invalid_path", 400, "The path is malformed";
    /// A name in the path breaks the rules for names.
    InvalidName = "invalid_name", 400, "A name in the path is malformed";
    /// A query parameter or header has a wrong value.
    InvalidParameter = "invalid_parameter", 400, "A query parameter or header is malformed";
    /// The body is not UTF-8, not JSON, or not an object.
    InvalidJson = "invalid_json", 400, "The body is not a JSON object";
    /// No token, a malformed one, or one that is unknown, expired or revoked.
    Unauthenticated = "unauthenticated", 401, "A valid token is needed";
    /// A callback's signature is missing, wrong or late.
    InvalidSignature = "invalid_signature", 401, "The signature does not match";
    /// The token does not allow the request.
    Forbidden = "forbidden", 403, "The token does not allow that";
    /// No such route.
    NotFound = "not_found", 404, "There is nothing at this path";
    /// No agent of that name is registered.
    AgentNotFound = "agent_not_found", 404, "No such agent";
    /// No message with that id is in the mailbox.
    MessageNotFound = "message_not_found", 404, "No such message";
    /// No token of that id.
    TokenNotFound = "token_not_found", 404, "No such token";
    /// No request for a worker of that id.
    WorkerNotFound = "worker_not_found", 404, "No such worker";
    /// The runner has sent no log of this request.
    LogNotFound = "log_not_found", 404, "There is no log yet";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    /// The name is held by another owner or machine.
    AgentExists = "agent_exists", 409, "The name is taken";
    /// The incarnation in `Agent-Id` is no longer the current one.
    AgentSuperseded = "agent_superseded", 409, "A newer incarnation has taken over";
    /// A message's status only moves forward, and a worker that has started is
    /// not given back without `retry`.
    InvalidTransition = "invalid_transition", 409, "The status cannot change this way";
    /// An owner is either a user or a service, never both.
    OwnerKindConflict = "owner_kind_conflict", 409, "The owner is of the other kind";
    /// Concurrent requests changed the same thing.
    Conflict = "conflict", 409, "Concurrent change";
    /// The agent has no endpoint to act on.
    NoEndpoint = "no_endpoint", 409, "The agent has no endpoint";
    /// The request was claimed by another runner, or has ended.
    LeaseLost = "lease_lost", 409, "The lease is lost";
    /// A callback with this `webhook-id` was received already.
    CallbackReplayed = "callback_replayed", 409, "This callback was received already";
    /// The configuration does not have the `ETag` in `If-Match`.
    PreconditionFailed = "precondition_failed", 412, "It was changed in the meantime";
    /// The request, or the message in it, is larger than allowed.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// Fields are missing, of the wrong type or out of bounds; `errors` lists them.
    ValidationFailed = "validation_failed", 422, "Some fields are not valid";
    /// The idempotency key was used for different content.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The idempotency key was used for different content";
    /// The stream is served over a WebSocket only.
    UpgradeRequired = "upgrade_required", 426, "A WebSocket is needed";
    /// 10,000 messages are pending.
    MailboxFull = "mailbox_full", 429, "The recipient's mailbox is full";
    /// The repo's `max_spawns_per_minute` is used up.
    SpawnRateLimited = "spawn_rate_limited", 429, "Too many requests for workers";
    /// The repo's `max_workers` are pending or at work.
    WorkerLimitReached = "worker_limit_reached", 429, "Too many workers";
    /// An internal error of the coordinator; its log has the request id.
    Internal = "internal", 500, "Internal error";
    /// The coordinator lacks a secret or binding.
    Misconfigured = "misconfigured", 503, "The coordinator is not set up";
    /// D1 or a mailbox does not answer.
    Unavailable = "unavailable", 503, "Try again shortly";
}

/// One field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FieldError {
    /// The field's name, dotted where it is nested.
    pub field: String,
    /// The fault, to be read after the name.
    pub message: String,
}

impl FieldError {
    /// `field` is wrong because of `message`.
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

/// An `application/problem+json` document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:multiclaude-hybrid:error:<code>`.
    pub r#type: String,
    /// A short summary of the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The fault in this request, and how to fix it.
    pub detail: String,
    /// The kind, for programs.
    pub code: ErrorCode,
    /// The same as `detail`, for clients that read `message`.
    pub message: String,
    /// The id of this request in the coordinator's log.
    pub request_id: String,
    /// The fields at fault, with a 422 or a 400 of the path or query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// The document for one failure.
    pub fn new(code: ErrorCode, detail: &str, request_id: &str, errors: Vec<FieldError>) -> Self {
        Self {
            r#type: format!("urn:multiclaude-hybrid:error:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.to_owned(),
            code,
            message: detail.to_owned(),
            request_id: request_id.to_owned(),
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own_that_serde_uses_too() {
        let mut texts: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!((400..600).contains(&code.status()));
        }
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn a_problem_has_the_standard_members_and_ours() {
        let problem = Problem::new(ErrorCode::MailboxFull, "why", "req_1", vec![]);
        assert_eq!(
            serde_json::to_value(problem).unwrap(),
            serde_json::json!({
                "type": "urn:multiclaude-hybrid:error:mailbox_full",
                "title": "The recipient's mailbox is full", "status": 429, "detail": "why",
                "code": "mailbox_full", "message": "why", "request_id": "req_1",
            })
        );
    }
}
